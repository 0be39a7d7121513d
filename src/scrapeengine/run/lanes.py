"""The lanes of one run: made when a platform gets work, and given up when a host has none left."""

from __future__ import annotations

import math

import trio

from scrapeengine.model.report import PlatformStatistics
from scrapeengine.run.plan import Plan
from scrapeengine.schedule.gates import Gates
from scrapeengine.schedule.lane import Lane
from scrapeengine.schedule.scheduler import Scheduler

__all__ = ["Lanes"]


class Lanes:
    """Brings lanes onto the scheduler and takes them off, and keeps them as the plan has them."""

    def __init__(self, plan: Plan, scheduler: Scheduler, gates: Gates) -> None:
        self._plan = plan
        self._scheduler = scheduler
        self._gates = gates
        self.share = math.inf
        """How many tasks of a new lane may run at most, before it is known what other engines leave."""

    def get(self, name: str, now: float) -> Lane:
        """Return the lane of a platform; its gate is as an earlier lane or run has left it."""
        lane = self._scheduler.lanes.get(name)
        if lane is None:
            policy = self._plan.policy(name)
            lane = Lane.of(name, policy, self._gates.take(name, policy.rate, now), self.share)
            self._scheduler.lanes[name] = lane
            self._scheduler.refresh(lane)
        return lane

    def retire(self, lane: Lane) -> None:
        """Let the lane of a host go if it is idle; its gate is kept for as long as it matters."""
        if lane.idle and lane.name not in self._plan.declared:
            self._scheduler.drop(lane)
            self._gates.keep(lane.name, lane.gate, trio.current_time())

    def close(self, now: float) -> None:
        """Keep the gates of all lanes, at the end of the run."""
        for lane in self._scheduler.lanes.values():
            self._gates.keep(lane.name, lane.gate, now)

    def retune(self, now: float) -> None:
        """Let lanes and event limit be as they are now in the plan."""
        for lane in self._scheduler.lanes.values():
            policy = self._plan.policy(lane.name)
            if policy is lane.policy:
                continue
            if policy.rate != lane.policy.rate:
                lane.gate.keep_to(policy.rate, now)
            lane.policy, lane.home = policy, policy.host
            lane.limit.tune(policy.limit)
            self._scheduler.refresh(lane)
        self._scheduler.events.total_tokens = self._plan.settings.event_limit

    def statistics(self, now: float) -> dict[str, PlatformStatistics]:
        """Say what the platforms that have work are doing."""
        return {name: lane.statistics(now) for name, lane in self._scheduler.lanes.items() if not lane.idle}
