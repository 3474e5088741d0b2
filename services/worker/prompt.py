"""arq's worker, without its poll between a job and its start.

arq looks into the queue every so often: a person waits for half of that after each upload, and a worker at rest looks
fifty times a second for nothing. This one looks when it is told that a job has come, or that one of its own has ended
while others wait. Nothing depends on being told: it looks twice a second all the same.

It also claims the jobs that wait together in one call, where arq makes three for each. And where arq ends when Redis
does, this one waits until it is there again: an outage of a minute would else cost what the supervisor or Kubernetes
lets pass before the fifth start of a process.
"""

import asyncio
import secrets
from contextlib import suppress
from typing import Any

import structlog
from arq.constants import in_progress_key_prefix
from arq.utils import timestamp_ms
from arq.worker import Worker
from redis.exceptions import RedisError

from shared.ports.job_queue import JobQueue

_LOOK_SECONDS = 0.5
_LAST_LOOK_SECONDS = 0.02
"""Nobody rings when the queue is empty, which is what a worker waits for that is to end."""
_LONGEST_LOOK_SECONDS = 10.0
"""After which a Redis that took a question and gives no answer counts as lost."""
_FIRST_BACKOFF_SECONDS = 0.1
_LONGEST_BACKOFF_SECONDS = 2.0
_PING_SECONDS = 1.0

log = structlog.get_logger()


class PromptWorker(Worker):
    """Takes what arq's takes.

    Args:
        queue: tells when a job has come.
    """

    def __init__(self, *, queue: JobQueue, **of_arq: Any) -> None:
        super().__init__(poll_delay=0, **of_arq)
        self._larder_queue = queue
        self._bell = asyncio.Event()
        self._bell.set()
        self._others_wait = False
        self._backoff_seconds = _FIRST_BACKOFF_SECONDS
        self._claimant = secrets.token_bytes(16)

    async def main(self) -> None:
        """Work until cancelled, whatever becomes of Redis."""
        async with self._larder_queue.hearing_jobs(self._bell.set):
            while True:
                try:
                    return await super().main()
                except (RedisError, OSError) as error:
                    # What runs goes on: its verdict is a row, and the queue is told when it can be.
                    log.warning("queue.lost", error=type(error).__name__, reason=str(error))
                # arq, which waits for them at a stop, would forget them at its next look only.
                self.tasks = {job_id: task for job_id, task in self.tasks.items() if not task.done()}
                await self._wait_for_redis()

    def end_when_idle(self) -> None:
        """End the run as soon as nothing is queued any more."""
        self.burst = True
        self._bell.set()

    async def start_jobs(self, job_ids: list[bytes]) -> None:
        """Claim and start as many of these as there is room for."""
        waiting = [job_id for job_id in map(bytes.decode, job_ids) if job_id not in self.tasks]
        while waiting and (room := self.max_jobs - self.job_counter) > 0:
            batch, waiting = waiting[:room], waiting[room:]
            for job_id, score in (await self._claim(batch)).items():
                await self.sem.acquire()
                self.job_counter += 1
                task = self.loop.create_task(self.run_job(job_id, score))
                task.add_done_callback(lambda _: self._release_sem_dec_counter_on_complete())
                self.tasks[job_id] = task
        self._others_wait = bool(waiting)

    async def _poll_iteration(self) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(_LAST_LOOK_SECONDS if self.burst else _LOOK_SECONDS):
                await self._bell.wait()
        self._bell.clear()
        async with asyncio.timeout(_LONGEST_LOOK_SECONDS):
            await super()._poll_iteration()
        self._backoff_seconds = _FIRST_BACKOFF_SECONDS

    async def _wait_for_redis(self) -> None:
        """Return when it answers: that it does says nothing of what it is asked next, which it may refuse each time."""
        while True:
            await asyncio.sleep(self._backoff_seconds)
            self._backoff_seconds = min(2 * self._backoff_seconds, _LONGEST_BACKOFF_SECONDS)
            if await self._redis_answers():
                break
        self._bell.set()

    async def _redis_answers(self) -> bool:
        try:
            async with asyncio.timeout(_PING_SECONDS):
                await self.pool.ping()
        except (RedisError, OSError):
            return False
        return True

    async def _claim(self, job_ids: list[str]) -> dict[str, int]:
        """Claim jobs that nobody else has claimed; return them with their scores.

        One that is this worker's already, and does not run, was claimed when no answer came any more, or could not be
        ended.
        """
        claim_ms = int(self.in_progress_timeout_s * 1000)
        async with self.pool.pipeline(transaction=False) as pipe:
            for job_id in job_ids:
                key = in_progress_key_prefix + job_id
                pipe.set(key, self._claimant, nx=True, px=claim_ms)
                pipe.get(key)
                pipe.zscore(self.queue_name, job_id)
            answers = await pipe.execute()
        claimed = {
            job_id: score
            for job_id, claimant, score in zip(job_ids, answers[1::3], answers[2::3], strict=True)
            if claimant == self._claimant
        }
        now = timestamp_ms()
        # Done by another worker meanwhile, or put off.
        void = [in_progress_key_prefix + job_id for job_id, score in claimed.items() if not score or score > now]
        if void:
            await self.pool.delete(*void)
        return {job_id: int(score) for job_id, score in claimed.items() if score and score <= now}

    def _release_sem_dec_counter_on_complete(self) -> None:
        was_full = self.job_counter >= self.max_jobs
        super()._release_sem_dec_counter_on_complete()
        if self._others_wait or was_full:  # Who rang while it was full was not heard.
            self._bell.set()
