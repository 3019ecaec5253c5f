"""Triton's scheduling once more, slow and plain, so that the compiled twin has something to be compared with.

Written from Triton's sources and not from the twin: ``src/dynamic_batch_scheduler.cc``, ``instance_queue.cc``,
``rate_limiter.cc``, ``scheduler_utils.cc``, ``payload.cc`` and ``backend_model_instance.cc`` of
triton-inference-server/core. Classes and methods are named after theirs. The batcher thread is a generator that yields
the moment until which it sleeps.

Threads take no time, but the timer of a wait rings a little late: a real one is never early, and what expires at that
moment has expired when the thread looks. Four things that Triton leaves to chance are fixed, as the twin fixes them:
what ends at an instant comes before what arrives, and that before a thread's timer; an instance that ends looks for
its next batch before the batcher thread wakes; the first idle instance takes a batch; of instances alike in the rate
limiter's eyes the first staged goes first.
"""

from collections import deque
from dataclasses import dataclass

from batchlab.configuration import QueuePolicy

BASE_NS = 10**15
"""Triton uses a time of 0 for "none"; its clock is never there."""
NAP_US = 500_000
TIMER_LATE_NS = 1_000
UNINITIALIZED, READY, REQUESTED, SCHEDULED, EXECUTING, RELEASED = range(6)


@dataclass(eq=False)
class Request:
    place: int
    arrival: int
    items: int
    priority: int
    timeout_us: int
    shape: int
    status: str = "lost"
    taken: int = -1
    done: int = -1
    riders: tuple = ()


class Payload:
    def __init__(self):
        self.requests, self.state, self.saturated, self.shape, self.batcher_start = [], UNINITIALIZED, False, None, 0
        self.on_release = []

    @property
    def items(self):
        return sum(request.items for request in self.requests)

    @property
    def stale(self):
        return self.state in (EXECUTING, RELEASED)

    def add(self, request):
        if self.batcher_start == 0 or self.batcher_start > request.arrival:
            self.batcher_start = request.arrival
        self.requests.append(request)


class PolicyQueue:
    def __init__(self, policy, keep):
        self.policy, self.keep = policy, keep
        self.queue, self.timeouts, self.delayed, self.rejected = [], [], [], []

    def __len__(self):
        return len(self.queue) + len(self.delayed)

    def enqueue(self, request, now):
        if self.policy.max_queue_size and len(self) >= self.policy.max_queue_size:
            return False
        timeout_us = self.policy.default_timeout_microseconds
        if self.policy.allow_timeout_override and 0 < request.timeout_us < timeout_us:
            timeout_us = request.timeout_us
        self.queue.append(request)
        self.timeouts.append(now + timeout_us * 1000 if timeout_us else 0)
        return True

    def dequeue(self):
        if self.queue:
            self.timeouts.pop(0)
            return self.queue.pop(0)
        return self.delayed.pop(0)

    def apply_policy(self, at, now):
        """Return whether `at` is a request still, how many were rejected, and their items."""
        rejected = items = 0
        while at < len(self.queue) and self.timeouts[at] and now > self.timeouts[at]:
            self.timeouts.pop(at)
            request = self.queue.pop(at)
            if self.policy.timeout_action == "DELAY":
                self.delayed.append(request)
            else:
                self.rejected.append(request)
                rejected, items = rejected + 1, items + request.items
        return at < len(self), rejected, items

    def reject_timeouts(self, now):
        if self.policy.timeout_action != "REJECT":
            return 0
        late = [i for i, timeout in enumerate(self.timeouts) if timeout and now > timeout]
        self.rejected += [self.queue[i] for i in late]
        for i in reversed(late):
            del self.queue[i], self.timeouts[i]
        return len(late)

    def at(self, i):
        return (self.queue + self.delayed)[i]

    def timeout_at(self, i):
        return self.timeouts[i] if i < len(self.queue) else 0


@dataclass
class Cursor:
    level: int | None
    at: int = 0
    at_delayed: bool = False
    closest_timeout: int = 0
    oldest: int = 0
    count: int = 0
    valid: bool = True


class PriorityQueue:
    def __init__(self, default, levels, policies):
        self.default, self.size, self.mark = default, 0, None
        self.queues = {level: PolicyQueue(policy, True) for level, policy in policies.items()} if levels else {}
        if not levels:
            self.queues[0] = PolicyQueue(default, True)
        limited = default.default_timeout_microseconds or default.allow_timeout_override or default.max_queue_size
        self.prefetching = levels == 0 and not limited
        self.reset()

    def reset(self):
        self.cursor = Cursor(min(self.queues, default=None))

    def enqueue(self, level, request, now):
        queue = self.queues.setdefault(level, PolicyQueue(self.default, False))
        if not queue.enqueue(request, now):
            return False
        self.size += 1
        cursor = self.cursor
        if cursor.level is None or level < cursor.level or (level == cursor.level and cursor.at_delayed):
            cursor.valid = False
        return True

    def dequeue(self):
        self.cursor.valid = False
        level = min(level for level, queue in self.queues.items() if len(queue))
        self.size -= 1
        request = self.queues[level].dequeue()
        self._erase_if_ready(level)
        return request

    def _erase_if_ready(self, level):
        queue = self.queues[level]
        if not queue.keep and not len(queue) and not queue.rejected:
            del self.queues[level]

    def reject_timeouts(self, now):
        for level, queue in self.queues.items():
            rejected = queue.reject_timeouts(now)
            self.size -= rejected
            if rejected and level == self.cursor.level:
                self.cursor.valid = False

    def release_skipped(self):
        found = []
        for level in sorted(self.queues):
            found += self.queues[level].rejected
            self.queues[level].rejected = []
            self._erase_if_ready(level)
            if level not in self.queues and level == self.cursor.level:
                self.cursor.valid = False
        return found

    def cursor_valid(self, now):
        return self.cursor.valid and now < self.cursor.closest_timeout

    def apply_policy_at_cursor(self, now):
        rejected = items = 0
        while self.cursor.level is not None:
            there, more, more_items = self.queues[self.cursor.level].apply_policy(self.cursor.at, now)
            rejected, items = rejected + more, items + more_items
            if not there and self.size > self.cursor.count + rejected:
                self.cursor.level = min((level for level in self.queues if level > self.cursor.level), default=None)
                self.cursor.at = 0
                continue
            break
        self.size -= rejected
        return items

    def request_at_cursor(self):
        return self.queues[self.cursor.level].at(self.cursor.at)

    def advance(self):
        cursor = self.cursor
        if cursor.count >= self.size:
            return
        queue = self.queues[cursor.level]
        timeout, start = queue.timeout_at(cursor.at), queue.at(cursor.at).arrival
        if timeout:
            cursor.closest_timeout = min(cursor.closest_timeout or timeout, timeout)
        cursor.oldest = min(cursor.oldest or start, start)
        cursor.at += 1
        cursor.count += 1
        cursor.at_delayed = cursor.at > len(queue.queue)


class Heap:
    """``std::priority_queue`` of instances, lowest score on top.

    Of several alike Triton's heap yields whichever its inner order puts on top; of two, the first pushed. Here it is
    always the first pushed.
    """

    def __init__(self):
        self.rows = []

    def push(self, instance):
        self.rows.append(instance)
        self.rows.sort(key=lambda row: row.score)

    def pop(self):
        return self.rows.pop(0)


class Instance:
    def __init__(self, model):
        self.model, self.idle, self.payload, self.until = model, True, None, None
        self.executions, self.on_schedule, self.own = 0, None, deque()

    @property
    def score(self):
        return self.executions * self.model.weight


class Model:
    """``DynamicBatchScheduler``, its payload queue (``InstanceQueue``) and its ``ModelContext``."""

    def __init__(self, server, twin):
        self.server, self.twin = server, twin
        batcher = twin.config.dynamic_batching
        self.batching, self.max_batch = batcher is not None, twin.max_batch
        self.delay_ns = batcher.max_queue_delay_microseconds * 1000 if batcher else 0
        self.preferred = sorted(set(batcher.preferred_batch_size if batcher else ())) or [twin.max_batch]
        self.levels = batcher.priority_levels if batcher else 0
        default = (batcher and batcher.default_queue_policy) or QueuePolicy()
        self.queue = PriorityQueue(default, self.levels, batcher.priority_queue_policy if batcher else {})
        self.queued_items = self.pending_items = self.next_preferred = 0
        self.default_level = batcher.default_priority_level if batcher else 0
        table = twin.service.table_ms(twin.max_batch)
        self.busy_ns = [int(ms * 1e6) for ms in table]
        self.dispatch_ns, self.dispatch_item_ns, self.answer_ns = (
            round(getattr(twin.overheads, name) * 1e6) for name in ("dispatch_ms", "dispatch_item_ms", "answer_ms")
        )
        self.device = (twin.device or f"own {twin.name}") if twin.shared else None
        groups = twin.config.to_message().instance_group
        limiter = groups[0].rate_limiter
        self.weight = max(limiter.priority, 1)
        self.needs = {row.name: row.count or 1 for row in limiter.resources} if server.resources is not None else {}
        self.instances = [Instance(self) for _ in range(twin.instances)]
        self.payload_queue, self.waiting_consumers = deque(), len(self.instances)
        self.available, self.requested = Heap(), deque()
        for instance in self.instances:
            self.available.push(instance)
        self.payload_saturated, self.current = False, Payload()
        self.notified = self.spinning = False
        self.thread = self.batcher_thread() if self.batching else None
        self.wakes = next(self.thread) if self.thread else None

    # DynamicBatchScheduler

    def slot_available(self):
        if self.queue.prefetching:
            return len(self.payload_queue) < 2 * len(self.instances)
        return self.waiting_consumers > 0

    def enqueue(self, request):
        if not self.batching:
            payload = Payload()
            payload.add(request)
            self.server.enqueue_payload(self, payload)
            return
        self.queued_items += request.items
        level = (request.priority or self.default_level) if self.levels else 0
        if not self.queue.enqueue(level, request, self.server.now):
            self.server.answer(self, [request], "full")
            return
        wake = self.slot_available()
        if not self.twin.same_shape:
            enough = self.queued_items >= self.next_preferred
            wake = wake and (self.payload_saturated or self.current.stale or enough)
        self.notified = self.notified or wake

    def new_payload(self):
        self.current, self.payload_saturated = Payload(), False

    def batcher_thread(self):
        server = self.server
        while True:
            rejected, wait_us, idle_turn = [], 0, False
            if self.payload_saturated or self.current.stale:
                self.new_payload()
                self.next_preferred = 0
            if self.queue.size == 0:
                wait_us = NAP_US
            else:
                yield from self.wait_for_slot()
                if self.current.stale:
                    continue
                wait_us = self.get_dynamic_batch()
                rejected = self.queue.release_skipped()
                count = self.queue.cursor.count
                # Triton spins here: the next request cannot join the payload, which is not taken yet.
                idle_turn = wait_us == 0 and count == 0 and not rejected and not self.payload_saturated
                if wait_us == 0 and count:
                    for _ in range(count):
                        self.current.add(self.queue.dequeue())
                    if self.current.state == UNINITIALIZED:
                        self.current.state = READY
                    self.queued_items -= self.pending_items
                    self.pending_items = 0
            if wait_us > 0:
                yield server.now + wait_us * 1000 + (TIMER_LATE_NS if self.queue.size else 0)
            if self.current.state == READY:
                server.enqueue_payload(self, self.current)
            server.answer(self, rejected, "expired")
            if idle_turn and self.queue.size:
                self.spinning = True
                yield None
                self.spinning = False

    def wait_for_slot(self):
        while not self.slot_available():
            deadline = self.server.now + NAP_US * 1000
            while not self.slot_available() and self.server.now < deadline:
                yield deadline
            if not self.slot_available():
                self.queue.reject_timeouts(self.server.now)
                self.server.answer(self, self.queue.release_skipped(), "expired")

    def get_dynamic_batch(self):
        queue, now = self.queue, self.server.now
        send_now, best = False, 0
        if not queue.cursor_valid(now):
            queue.reset()
            self.pending_items = 0
        self.queued_items -= queue.apply_policy_at_cursor(now)
        held, largest_preferred = self.current.items, self.preferred[-1]
        while queue.cursor.count != queue.size:
            request = queue.request_at_cursor()
            if held + queue.cursor.count == 0:
                self.current.shape = request.shape
            else:
                size = held + self.pending_items + request.items
                if size > largest_preferred and best == 0:
                    best = self.pending_items
                    queue.mark = Cursor(**vars(queue.cursor))
                    self.payload_saturated = True
                if size > self.max_batch:
                    send_now = True
                    break
                if self.twin.same_shape and request.shape != self.current.shape:
                    self.current.saturated = send_now = True
                    break
            self.pending_items += request.items
            queue.advance()
            self.queued_items -= queue.apply_policy_at_cursor(now)
            if self.pending_items + held in self.preferred:
                best = self.pending_items
                queue.mark = Cursor(**vars(queue.cursor))
        age = now - queue.cursor.oldest
        late = self.delay_ns != 0 and age >= self.delay_ns
        if best and not late:
            if self.delay_ns == 0:
                self.payload_saturated = True
            self.pending_items = best
            queue.cursor = Cursor(**vars(queue.mark))
            return 0
        if queue.cursor.count == 0:
            return 0
        if send_now or held + self.pending_items >= largest_preferred:
            self.payload_saturated = True
            return 0
        if late or self.delay_ns == 0:
            return 0
        above = [size for size in self.preferred if size > self.pending_items + held]
        self.next_preferred = (above or self.preferred)[0] - held
        if not self.payload_saturated and held and held not in self.preferred:
            return 0
        wait_ns = self.delay_ns - age
        closest = queue.cursor.closest_timeout
        if closest:
            wait_ns = min(closest - now, wait_ns) if now <= closest else 1000
        return wait_ns // 1000

    # InstanceQueue

    def dequeue_payload(self):
        payload = self.payload_queue.popleft()
        payload.state = EXECUTING
        while self.payload_queue and self.delay_ns > 0 and self.max_batch > 1 and not payload.saturated:
            front = self.payload_queue[0]
            if front.saturated or self.server.now - front.batcher_start <= self.delay_ns:
                break
            front.state = EXECUTING
            if payload.items + front.items > self.max_batch:
                break
            if payload.shape is not None and self.twin.same_shape and front.requests[0].shape != payload.shape:
                break
            payload.requests += front.requests
            self.payload_queue.popleft()
            front.state = RELEASED
        return payload

    # RateLimiter::ModelContext

    def stage_if_available(self, wanted=None):
        backup = Heap()
        while self.available.rows:
            instance = self.available.pop()
            if self.requested and wanted in (None, instance):
                instance.on_schedule = self.requested.popleft()
                self.server.staged.push(instance)
                self.server.attempt_allocation()
            else:
                backup.push(instance)
        if backup.rows:
            self.available = backup


class Server:
    """``RateLimiter``, the backend threads, the devices and the clock."""

    def __init__(self, twins, resources):
        self.now, self.resources, self.staged, self.device_free = BASE_NS, resources, Heap(), {}
        self.models = [Model(self, twin) for twin in twins]
        self.allocated = dict.fromkeys(resources or {}, 0)

    def enqueue_payload(self, model, payload):
        model.waiting_consumers -= 1
        payload.state = REQUESTED
        if self.resources is None:
            payload.state = SCHEDULED
            model.payload_queue.append(payload)
            idle = [instance for instance in model.instances if instance.idle]
            if idle:
                self.execute(idle[0], model.dequeue_payload())
        else:
            model.requested.append(payload)
            model.stage_if_available()

    def attempt_allocation(self):
        if not self.staged.rows:
            return
        instance = self.staged.rows[0]
        needs = instance.model.needs
        if any(self.allocated[name] + count > self.resources[name] for name, count in needs.items()):
            return
        for name, count in needs.items():
            self.allocated[name] += count
        self.staged.pop()
        self.execute(instance, instance.on_schedule)

    def execute(self, instance, payload):
        model = instance.model
        payload.state = EXECUTING
        start = self.now + model.dispatch_ns + model.dispatch_item_ns * payload.items
        if model.device is not None:
            start = max(start, self.device_free.get(model.device, 0))
        end = start + model.busy_ns[payload.items]
        if model.device is not None:
            self.device_free[model.device] = end
        instance.idle, instance.payload, instance.until = False, payload, end
        riders = tuple(sorted(request.place for request in payload.requests))
        for request in payload.requests:
            request.status, request.taken, request.done = "ok", self.now, end + model.answer_ns
            request.riders = riders
        model.notified = True  # the payload's callback

    def end(self, instance):
        model = instance.model
        model.notified = True
        # Idle before its resources are free again, which takes no time.
        instance.idle, instance.until = True, None
        model.waiting_consumers += 1
        if self.resources is not None:
            instance.executions += 1
            model.available.push(instance)
            for name, count in model.needs.items():
                self.allocated[name] -= count
            if model.requested:
                model.stage_if_available(instance)
            self.attempt_allocation()
        elif model.payload_queue:
            self.execute(instance, model.dequeue_payload())

    def answer(self, model, requests, status):
        for request in requests:
            request.status, request.taken, request.done = status, self.now, self.now + model.answer_ns

    def wake(self, model):
        model.notified = False
        model.wakes = next(model.thread)

    def settle(self, first):
        """Let the batcher threads run that were woken, the one whose model saw the event first."""
        while True:
            woken = [m for m in [first, *self.models] if m.thread and m.notified]
            if not woken:
                return
            self.wake(woken[0])
            woken[0].notified = False

    def play(self, requests):
        """Play the requests of each model, in order of arrival, until nothing more can happen."""
        following = [deque(rows) for rows in requests]
        open_requests = sum(map(len, requests))
        while open_requests:
            moments = []
            for m, model in enumerate(self.models):
                for i, instance in enumerate(model.instances):
                    if not instance.idle:
                        moments.append((instance.until, 0, m, i))
                if following[m]:
                    moments.append((following[m][0].arrival, 1, m, 0))
                if model.wakes is not None:
                    moments.append((model.wakes, 2, m, 0))
            self.now, kind, m, i = min(moments)
            model = self.models[m]
            if kind == 0:
                self.end(model.instances[i])
            elif kind == 1:
                model.enqueue(following[m].popleft())
            else:
                model.notified = True
            for other in self.models:
                other.notified = other.notified or other.spinning
            self.settle(model)
            open_requests = sum(request.done < 0 for rows in requests for request in rows)


def play(streams, resources=None):
    """Play streams of the twin by Triton's own code path; return the requests of each, in order of arrival."""
    requests = []
    for stream in streams:
        count = len(stream.arrivals.times_s)

        def column(value, count=count):
            return [value] * count if value is None or not hasattr(value, "__len__") else list(value)

        rows = zip(
            stream.arrivals.times_s,
            *map(column, (stream.batch_size, stream.priority, stream.timeout_us, stream.shape)),
            strict=True,
        )
        send_ns = stream.model.overheads.send_ms * 1e6
        requests.append(
            [
                Request(place, BASE_NS + int(time_s * 1e9 + send_ns), int(items), int(level), int(timeout), shape)
                for place, (time_s, items, level, timeout, shape) in enumerate(rows)
            ]
        )
    Server([stream.model for stream in streams], resources).play(requests)
    return requests
