"""The interview drill: a bank of questions, timed mock interviews, and a queue that brings back what was missed."""
