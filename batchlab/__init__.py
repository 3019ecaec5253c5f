"""Batchlab: learn batching on a real Triton Inference Server, then tune your own."""

__version__ = "0.1.0"
