"""What may be wrong with a service: name -> the cause in words, and what would be seen if it were so.

The second text speaks against a cause wherever the figures do not show it.
"""

# A question is prose: its lines are cut by meaning.
# ruff: noqa: E501

CAUSES = {
    "no batching": ("the batcher is off", "then every batch would hold one request."),
    "large batch": ("the max batch is too large for the SLO", "then batches would be large and their compute near the limit."),
    "long delay": ("the queue delay is too long for so little traffic", "then the queue would last about the delay and the "
                   "compute only a few ms."),
    "preferred": ("a preferred batch size that never comes together", "then the queue would be long although the device idles, "
                  "and a preferred size would be set."),
    "timeout": ("a queue timeout that is too short", "then Triton would reject requests as timed out."),
    "full queue": ("a queue limit that is too short", "then refusals would name the queue size."),
    "overload": ("more is offered than the device can carry", "then the device would never idle and the queue would grow."),
    "bursts": ("bursts: the mean load hides the clumps", "then the P99 would be far above the median at a modest mean load."),
    "client": ("the client is the limit", "then the server would idle while few requests are in flight."),
    "neighbour": ("a neighbour's batches block the device", "then compute would last longer than the model's own curve says."),
    "shared device": ("instances were added on a device that was full", "then there would be several instances, a busy device "
                      "and no gain."),
    "omission": ("coordinated omission: a closed loop hid the stall", "then the test would wait for answers before it sends."),
    "few samples": ("too few requests for that percentile", "then there would be only a few hundred requests."),
    "shapes": ("lengths that differ keep requests apart", "then batches would be small under load, and lengths would vary."),
    "starved": ("low priority is starved", "then the low level would wait far longer than the high one."),
    "averaged": ("percentiles of replicas were averaged", "then the figure would be a mean of several P99s."),
}  # fmt: skip
