"""Break the code of each law, one line at a time, and see the law's tests fail: `make mutants`.

Each mutant is a copy of the library with one piece of text replaced. A test that passes on a mutant proves nothing.
"""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor

ROOT = pathlib.Path(__file__).parent.parent

MUTANTS = [
    # (law, or the test file below tests/; file; what stands there; what it becomes)
    (
        "unit/test_binding.py",
        "decide/binding.py",
        "            self.before = coming.spent(now)\n",
        "            pass\n",
    ),
    (
        "unit/test_binding.py",
        "decide/binding.py",
        "            self.idle = self._idle(coming, now)\n",
        "            pass\n",
    ),
    (
        "unit/test_binding.py",
        "decide/binding.py",
        "            self.past.add(reason, now - since)\n",
        "            pass\n",
    ),
    ("unit/test_binding.py", "decide/binding.py", " - (before == limit)", ""),
    ("runtime/test_what_binds.py", "observe/holding.py", "        if not details.followed:\n", "        if True:\n"),
    (
        "runtime/test_what_binds.py",
        "run/session.py",
        "            self.parts.scheduler.tell_holdups(mine.lane_held, now)\n",
        "            pass\n",
    ),
    ("unit/test_sketch.py", "decide/sketch.py", "2 * _GROWTH**bucket / (_GROWTH + 1)", "_GROWTH**bucket"),
    ("unit/test_sketch.py", "decide/sketch.py", "rank = max(1, math.ceil(share * count))", "rank = int(share * count)"),
    ("unit/test_sketch.py", "decide/sketch.py", "_LAST if number >= MOST else ", ""),
    ("unit/test_sketch.py", "decide/sketch.py", "        self._tiny += other._tiny\n", ""),
    ("runtime/test_recording.py", "observe/labels.py", "        if not self._left:\n", "        if False:\n"),
    ("unit/test_report.py", "model/report.py", "return self.stopped is None and ", "return "),
    ("unit/test_report.py", "model/report.py", "self.outcomes.failed <= share", "self.outcomes.failed < share"),
    ("unit/test_report.py", "model/tables.py", "if not math.isfinite(value)", "if False"),
    (
        "runtime/test_recording.py",
        "decide/binding.py",
        "        if by != Holdup.NOTHING.value:\n            self.now",
        "        if True:\n            self.now",
    ),
    ("runtime/test_recording.py", "observe/counting.py", "self._of(details.to)", "self._of(details.platform)"),
    ("runtime/test_recording.py", "observe/counting.py", "        if details.whole:\n", "        if True:\n"),
    (
        "runtime/test_recording.py",
        "http/wire/telling.py",
        "self._kept = seconds, False",
        "self._kept = seconds, True",
    ),
    (
        "runtime/test_recording.py",
        "schedule/scheduler.py",
        "seconds = now - record.parked_since",
        "seconds = now - (record.parked_since or now)",
    ),
    (1, "run/shutdown.py", "            self._backing.ends.give_up(job, reason)\n", "            pass\n"),
    (
        1,
        "deliver/outbox.py",
        "            self._lines.failed(failure)\n        self.put(outcome)\n",
        "            self._lines.failed(failure)\n        if outcome.attempts:\n            self.put(outcome)\n",
    ),
    (1, "tasks/signals.py", "BaseException.with_traceback(caught, caught.__traceback__.tb_next)", "pass"),
    (
        2,
        "tasks/signals.py",
        "    return others if isinstance(others, ExceptionGroup) else _crash(others)",
        "    return None",
    ),
    (2, "tasks/signals.py", "return None if isinstance(error, _FATAL) else _crash(error)", "return None"),
    (2, "tasks/signals.py", "    if error.subgroup(_FATAL) is not None:\n        return None\n", ""),
    (2, "tasks/signals.py", "return error.subgroup(_FATAL) or error", "return error"),
    (
        "runtime/test_whatever_is_raised.py",
        "tasks/signals.py",
        "isinstance(error, ScraperCrashed) else error\n    if",
        "False else error\n    if",
    ),
    (2, "tasks/signals.py", "class Signal(BaseException)", "class Signal(Exception)"),
    (2, "tasks/workers.py", "                fatal = fatal_part(error)\n", "                fatal = error\n"),
    (2, "run/run.py", "if isinstance(end, KeyboardInterrupt | SystemExit | GeneratorExit):", "if False:"),
    (
        3,
        "schedule/limits.py",
        "self.now = int(min(self.own, self.share))",
        "self.now = int(self.own) + 1",
    ),
    (3, "run/session.py", "plan.event_limit, alarms, self", "plan.event_limit + 1, alarms, self"),
    (
        "served/test_stopped_processes.py",
        "schedule/scheduler.py",
        "            lane.limit.lapse()  # here,",
        "            pass  # here,",
    ),
    (
        "served/test_stopped_processes.py",
        "schedule/limits.py",
        "        return not self.uncovered",
        "        return True",
    ),
    ("served/test_stopped_processes.py", "schedule/destinations.py", "not limit.covers(now)", "False"),
    ("served/test_stopped_processes.py", "served/sharing.py", " if covered else limit.now", ""),
    ("served/test_stopped_processes.py", "served/sharing.py", "if now >= lane.limit.ends:", "if False:"),
    (
        "served/test_asking_for_slots.py",
        "stores/rules/beside.py",
        "Stake(owner, slots, mine",
        "Stake(owner, max(slots, mine.held), mine",
    ),
    ("served/test_tuned_rates.py", "decide/share.py", "now + (tat - now) * interval / by", "tat"),
    ("served/test_tuned_rates.py", "served/sharing.py", "            anew=anew,\n", ""),
    ("unit/test_share.py", "decide/share.py", "        if at < tat - slack - _SAME:", "        if False:"),
    (
        "served/test_delivery.py",
        "served/deliveries.py",
        "await self._defer(taker, deliveries, self._holder.lease)",
        "pass",
    ),
    (
        "served/test_delivery.py",
        "served/deliveries.py",
        "await self._defer(taker, deliveries.difference(self._had[taker]), 0)",
        "pass",
    ),
    (
        "served/test_delivery.py",
        "served/completions.py",
        "            outcome=None if within is None else outcome_text(outcome, held.claimed.payload, result),\n"
        "            sinks=self.deliveries.takers(),\n",
        "            outcome=None if within is None else outcome_text(outcome, held.claimed.payload, result),\n",
    ),
    ("runtime/test_sinks.py", "deliver/sinking.py", "                    host.sink_failed()\n", ""),
    ("runtime/test_sinks.py", "deliver/feed.py", "self._since + self._linger", "self._since + 2 * self._linger"),
    (
        "stores/test_stores.py",
        "stores/sqlite/beside.py",
        'AND sink = ? AND until > ?"\n        before',
        'AND ? IS NOT NULL AND until > ?"\n        before',
    ),
    (
        "served/test_polling.py",
        "served/claims.py",
        "all else is asked for until the store answers\n            self.error = error\n",
        "all else is asked for until the store answers\n            pass\n",
    ),
    ("served/test_a_store_that_fails.py", "served/trouble.py", "if left_out is None:", "if False:"),
    ("served/test_a_store_that_fails.py", "served/trouble.py", "self._next = 2 * seconds", "pass"),
    (3, "schedule/waiting.py", "if not (scheduler.aborted or record.scope.cancel_called):", "if False:"),
    ("http/test_streaming.py", "http/client/turnstile.py", " and nursery not in before", ""),
    (
        3,
        "http/client/turnstile.py",
        "        if self._taken:\n            return False\n",
        "",
    ),
    (
        4,
        "decide/rate.py",
        "        self._tat = max(self._tat, now) + self.rate.interval\n        return True",
        "        self._tat = min(max(self._tat, 0), now) + self.rate.interval\n        return True",
    ),
    (4, "decide/rate.py", "free = self.rate.burst - len(self._open)", "free = self.rate.burst"),
    (4, "decide/rate.py", "self._tat - (free - 1) * self.rate.interval", "self._tat - free * self.rate.interval"),
    (
        4,
        "decide/rate.py",
        "            if begun is None or now < begun + interval:\n                return\n",
        "            return\n",
    ),
    (4, "schedule/destinations.py", "gate.opens_at(now) <= now and gate.use(", "gate.use("),
    (5, "decide/gate.py", "        return now < self.penalty.until", "        return False"),
    (
        5,
        "decide/gate.py",
        "max(self.rate_limiter.opens_at(now), self.penalty.until)",
        "self.rate_limiter.opens_at(now)",
    ),
    (5, "decide/penalty.py", "        elif sent >= self._began and now >= self.until:", "        else:"),
    (5, "schedule/gates.py", "        gate = self._kept.pop(name, None)", "        gate = None"),
    (6, "schedule/limits.py", "self.bound = 2 * self.own", "self.bound = 3 * self.own"),
    (6, "schedule/lane.py", "return len(self.records) >= self.limit.bound and not self.limit.taken", "return False"),
    (
        6,
        "schedule/scheduler.py",
        "        for record in parked:\n",
        "        for seat in [] if lane.queue.waiting else parked:\n",
    ),
    (
        6,
        "decide/agenda.py",
        "        job.state = _PARKED\n        return self._released(job.entry)",
        "        job.state = _PARKED\n        return False",
    ),
    (6, "schedule/lane.py", "        self.scope.deadline = math.inf\n", "        pass\n"),
    (
        7,
        "decide/agenda.py",
        "        if not may_begin:\n            return held\n",
        "        if not may_begin:\n            return None\n",
    ),
    (7, "decide/agenda.py", "fresh.urgency < held.urgency", "fresh.urgency <= held.urgency"),
    (7, "schedule/scheduler.py", "                and (turn or not (self._line.places or self._ahead))\n", ""),
    (
        7,
        "decide/agenda.py",
        "        queue.open = False\n        return [job.entry for job in held if self._released(job.entry)]",
        "        queue.open = False\n        return []",
    ),
    (8, "run/services.py", "self._ends.waiting < self._outbox.buffer", "self._ends.waiting <= self._outbox.buffer"),
    (
        8,
        "run/admission.py",
        "self._agenda.waiting_from_source < settings.lookahead",
        "self._agenda.waiting_from_source <= settings.lookahead + 8",
    ),
    (
        8,
        "run/admission.py",
        "self._agenda.waiting_events + overfull >= limit",
        "self._agenda.waiting_events + overfull > limit",
    ),
    (8, "schedule/lanes.py", "if lane.idle and not self.platforms.is_declared(lane.name):", "if False:"),
    (
        8,
        "decide/agenda.py",
        "        if followed or self.dedupe:\n            for queue",
        "        if self.dedupe:\n            for queue",
    ),
    (9, "run/shutdown.py", "            self._alarms.at(cut_at, self._cut)\n", "            pass\n"),
    (9, "run/shutdown.py", "                if task.parked_since is not None:", "                if False:"),
    (
        9,
        "run/shutdown.py",
        "        self._alarms.at(trio.current_time() + _LAST_CALL, self._give_up)",
        "        pass",
    ),
    (9, "run/session.py", "                await parts.clients.aclose()", "                pass"),
    (10, "schedule/lanes.py", "            lane.limit.tune(platform.limit)\n", ""),
    (10, "run/session.py", "        parts.scheduler.limit_events(parts.plan.event_limit)\n", ""),
    (10, "schedule/lanes.py", "                lane.gate.keep_to(platform.rate, now)\n", "                pass\n"),
    (10, "run/session.py", "        parts.outbox.resize(settings.buffer)\n", ""),
    (11, "schedule/clock.py", "        return self.trio_time - (earlier.trio_time + passed)", "        return 0.0"),
    (6, "schedule/lane.py", "        self.parked += now - self.parked_since\n", ""),
    (
        12,
        "schedule/scheduler.py",
        "                elif self._line.places and self._may_start():",
        "                elif False:",
    ),
    (
        12,
        "schedule/scheduler.py",
        "                self._wake_at(lane, opens_at)  #",
        "                self._wake_at(lane, opens_at + 0.125)  #",
    ),
    (
        12,
        "schedule/scheduler.py",
        "lane.limit.give(record.job)\n        del",
        "lane.limit.give(record.job)\n            lane.alarm = -math.inf\n        del",
    ),
    (12, "schedule/scheduler.py", "            self._kicked.update(self._blocked)\n", ""),
    (
        "http/test_other_platforms.py",
        "tasks/requesting.py",
        "return self._own if name is None or name == lane.queue.name else",
        "return self._own if True else",
    ),
    ("http/test_other_platforms.py", "schedule/scheduler.py", "        lane.own_next = True\n", ""),
    ("http/test_other_platforms.py", "schedule/lane.py", " or self.records or self.guests)", " or self.records)"),
    (
        "http/test_conditional.py",
        "tasks/running.py",
        "                    raise\n                try:",
        "                    raise\n                await self._remember(handle)\n                try:",
    ),
    ("http/test_streaming.py", "http/client/files.py", "            if not done:\n", "            if False:\n"),
    ("http/test_saving.py", "http/client/files.py", 'part = f".{', 'part = f"{name}.{'),
    ("http/test_saving.py", "http/client/files.py", "src_dir_fd=here, dst_dir_fd=here", "src_dir_fd=here"),
    (
        "hostile/test_robots_from_sites.py",
        "http/features/keeping.py",
        "known_as if isinstance(known_as, str) else _agent(call)",
        "_agent(call)",
    ),
    ("http/test_robots_outages.py", "http/features/keeping.py", "if task.is_served(call.host):", "if False:"),
    ("http/test_robots_outages.py", "http/features/keeping.py", "if task.is_served(call.host):", "if True:"),
    (
        "http/test_robots_outages.py",
        "http/features/robots_cache.py",
        "outage = self._outages.pop(origin, None)",
        "outage = None",
    ),
    (
        "http/test_robots_outages.py",
        "http/features/robots_cache.py",
        "outage.since + patience - now - _HARDLY",
        "patience",
    ),
    (
        "http/test_robots_outages.py",
        "tasks/signals.py",
        "error.split((Signal, RobotsDisallowed))",
        "error.split(Signal)",
    ),
    ("unit/test_errors_travel.py", "errors.py", "if name.lower() in _TELL_NO_SECRET]", "]"),
    ("hostile/test_ids_that_are_urls.py", "served/redelivery.py", "id=named(delivery.id)", "id=delivery.id"),
    (
        "http/test_streaming.py",
        "http/client/streaming.py",
        "            channel.deadline = math.inf\n        if part",
        "            pass\n        if part",
    ),
    ("http/test_retry_budget.py", "decide/budget.py", "return retries < _ALWAYS or", "return True or"),
    ("http/test_retry_budget.py", "decide/budget.py", "        if share == 0:", "        if False:"),
    ("http/test_retry_budget.py", "schedule/lane.py", "budget.allows(now, share)", "budget.allows(now)"),
    ("http/test_calls.py", "http/wire/prepared.py", r"|\.(?!/|\.|$|\?))*", r"|\.)*"),
    ("http/test_calls.py", "http/wire/requests.py", "(length is not None and said !=", "(False and said !="),
    ("http/test_calls.py", "http/wire/requests.py", '    if b"transfer-encoding" in sent:\n', "    if False:\n"),
    ("http/test_urls.py", "model/urls.py", "if _SCHEME.match(stripped) or _TWO_SLASHES.match(stripped):", "if False:"),
    ("http/test_urls.py", "model/urls.py", '    if "^" in target:\n', "    if False:\n"),
    (
        "http/test_bodies.py",
        "http/wire/uploads.py",
        "        return self._again or not self._begun",
        "        return True",
    ),
    (
        "http/test_bodies.py",
        "http/wire/uploads.py",
        "class CallersError(BaseException)",
        "class CallersError(Exception)",
    ),
    ("http/test_processed_pages.py", "http/client/attempts.py", "None or known or call.url", "None or call.url"),
    ("http/test_processed_pages.py", "http/client/attempts.py", " or known or call.url in self.found:", " or known:"),
    (
        "http/test_bodies.py",
        "http/transport/uploading.py",
        "nursery.start_soon(_listen",
        "(lambda *_: None)(_listen",
    ),
    (
        "http/test_bodies.py",
        "http/transport/uploading.py",
        "    if heard:",
        "    if heard and nursery.cancel_scope.cancelled_caught:",
    ),
    ("http/test_saving.py", "http/client/files.py", "error.filename, error.filename2 = path, None", "pass"),
    ("unit/test_budget.py", "decide/budget.py", "share >= _ANY or ", ""),
    (
        "http/test_processed_pages.py",
        "http/features/validators.py",
        "    return known == _hash(names, sent)",
        "    return True",
    ),
    ("http/test_following.py", "http/wire/exchange.py", "return self.follows and ", "return "),
    (
        "http/test_headers_of_answers.py",
        "http/wire/reading.py",
        "None if answer.status == 206 else answer.coding",
        "answer.coding",
    ),
    (
        "http/test_tls_sessions.py",
        "http/transport/sessions.py",
        "self._rules != _rules(context) or",
        "",
    ),
    (
        "http/test_tls_sessions.py",
        "http/transport/sessions.py",
        "        if not tls.session_reused:\n",
        "        if True:\n",
    ),
    (
        "http/test_tls_sessions.py",
        "http/transport/sessions.py",
        "            if len(self._by_origin) >",
        "            if 0 >",
    ),
    (
        "http/test_tls_sessions.py",
        "http/transport/connections.py",
        "self._sessions.of(origin)",
        "self._sessions.of(None)",
    ),
    (
        "http/test_tls_sessions.py",
        "http/transport/tls.py",
        "                if records.answers:",
        "                if False:",
    ),
    (
        "http/test_tls_sessions.py",
        "http/transport/tls.py",
        "            last.forget()",
        "            pass",
    ),
    (
        "http/test_tls_sessions.py",
        "http/transport/tls.py",
        "                if records.decrypted() is not None:",
        "                if True:",
    ),
    (
        "http/test_tls_sessions.py",
        "http/transport/records.py",
        "                if not self.answers:",
        "                if True:",
    ),
    (
        "unit/test_tls_records.py",
        "http/transport/records.py",
        "            self._ends = error\n",
        "            pass\n",
    ),
    (
        "costs/test_connections.py",
        "http/transport/connections.py",
        "max(_MOST, peak.seen(in_use, now) - in_use + 1)",
        "_MOST",
    ),
    (
        "unit/test_pool.py",
        "http/transport/pool.py",
        "            self._now, self._ends = 0,",
        "            _, self._ends = 0,",
    ),
    ("unit/test_heads.py", "http/transport/heads.py", "        if _BARE_CR.search(block):", "        if False:"),
    ("unit/test_mutated_answers.py", "http/transport/straight.py", "or size > length:\n", "or False:\n"),
    ("hostile/test_next_answer.py", "http/transport/connection.py", "and parser.answer.done and parser.keep", ""),
    ("http/test_deadlines.py", "schedule/alarms.py", "        self._calls.pop(ring, None)\n", ""),
    ("http/test_deadlines.py", "http/wire/watch.py", "            self.set(self.when)\n", "            pass\n"),
    (
        "http/test_foreign_wires.py",
        "http/wire/connector.py",
        "        if answer.size > self._most:",
        "        if False:",
    ),
    (
        "served/test_serving.py",
        "served/leases.py",
        "await trio.sleep(self._lease / 3)",
        "await trio.sleep(self._lease * 3)",
    ),
    ("served/test_serving.py", "served/leases.py", "            held.lost = True\n", ""),
    ("served/test_serving.py", "served/backing.py", "        known |= fresh\n", ""),
    (1, "served/backing.py", " for job in jobs if job.platform not in known}", " for job in jobs if not known}"),
    ("served/test_serving.py", "run/services.py", "self._outbox.waiting + self._ends.waiting", "self._outbox.waiting"),
    ("served/test_delivery.py", "deliver/outbox.py", "            had([outcome])\n", "            pass\n"),
    (
        "served/test_polling.py",
        "served/completions.py",
        "max(wait - self.early, min(wait, soonest), 0.0)",
        "max(wait - self.early, 0.0)",
    ),
    (
        "served/test_polling.py",
        "stores/rules/jobs.py",
        "least, most = completion.between or (again, math.inf)",
        "least, most = again, math.inf",
    ),
    ("stores/test_stores.py", "stores/rules/jobs.py", "for step in (_APART, -_APART):", "for step in (_APART,):"),
    (
        "http/test_robots_outages.py",
        "http/features/keeping.py",
        "max(wait, task.destination(call.host).closed_for())",
        "wait",
    ),
    ("runtime/test_sync.py", "sync.py", "        signal.signal(number, signal.SIG_DFL)\n", "        pass\n"),
    ("runtime/test_wrong_types.py", "run/plan.py", "        check_platform_name(name)\n", ""),
    ("served/test_again_after.py", "run/skips.py", "        if seconds <= 0:", "        if False:"),
    (
        "served/test_adversity.py",
        "served/backing.py",
        "        return not (self._writer.behind",
        "        return not (False",
    ),
    (
        "stores/test_stores.py",
        "stores/rules/leasing.py",
        "until, opening = tables.awake + lease,",
        "until, opening = tables.awake + 2 * lease,",
    ),
    ("stores/test_stores.py", "stores/rules/jobs.py", "    if token and row.accepted == token:", "    if False:"),
    (
        "stores/test_stores.py",
        "stores/checked.py",
        '        _count(n, "n", least=0)\n        _seconds(lease, "lease")\n        return await self._store.claim',
        "        return await self._store.claim",
    ),
    ("stores/test_store_machine.py", "stores/rules/leasing.py", "    _lapse(tables, math.inf)\n", ""),
    (
        "stores/test_stores.py",
        "stores/rules/beside.py",
        "share_request.openings not in {None, gate.openings}",
        "share_request.openings is None",
    ),
    (
        "stores/test_stores.py",
        "stores/rules/jobs.py",
        "or row.status.fell_short:\n        row = _add",
        "or False:\n        row = _add",
    ),
    ("stores/test_staged.py", "stores/rules/staging.py", "        if batch.taken is None:\n            continue\n", ""),
    ("stores/test_staged.py", "stores/rules/staging.py", "SIZE = 256 * 1024\n", "SIZE = 10**12\n"),
    ("stores/test_staged.py", "stores/rules/staging.py", "or batch.until == _GIVEN_UP:", "or False:"),
    ("stores/test_staged.py", "stores/rules/staging.py", 'if tables.policy.full == "raise":', "if False:"),
    ("stores/test_staged.py", "stores/sqlite/staging.py", "            if size <= 0:\n", "            if False:\n"),
    ("stores/test_staged.py", "served/enqueueing.py", "or size > _SIZE:", "or False:"),
    ("stores/test_stores.py", "stores/rules/leasing.py", "    if going and row.followed:\n", "    if False:\n"),
    (
        "stores/test_damage.py",
        "stores/rules/leasing.py",
        "damage=texts.error if texts.damaged else None",
        "damage=None",
    ),
    ("stores/test_damage.py", "stores/rules/leasing.py", "tables.jobs.leased(ticket) or row", "row"),
    ("stores/test_damage.py", "served/desk.py", "        if claimed.damage is not None:\n", "        if False:\n"),
    ("served/test_others.py", "served/others.py", "            self._asked = math.inf\n", ""),
    (
        "served/test_others.py",
        "served/others.py",
        "for name, each in counted.items() if self._serves(name))",
        "for each in counted.values())",
    ),
    ("served/test_others.py", "served/others.py", "            self._without[platform] = math.inf\n", ""),
    ("served/test_others.py", "served/others.py", "_PATIENCE = 1.0", "_PATIENCE = 0.0"),
    ("served/test_until.py", "served/claims.py", "            self._desk.leave_closed()\n", "            pass\n"),
    ("served/test_until.py", "served/desk.py", "if any(lane.records or not", "if any(not"),
    ("served/test_until.py", "served/until.py", "if not leased and all(map", "if all(map"),
    (
        "served/test_until.py",
        "served/closings.py",
        "        self._hooks.closed_by_others(lane)\n        self._ready.room(lane.name)\n",
        "        self._hooks.closed_by_others(lane)\n",
    ),
    (
        "served/test_scrapers_that_exit.py",
        "served/ends.py",
        "    return isinstance(error, SystemExit)\n",
        "    return False\n",
    ),
    (
        "served/test_scrapers_that_exit.py",
        "served/ends.py",
        "    return isinstance(error, SystemExit)\n",
        "    return isinstance(error, SystemExit | KeyboardInterrupt)\n",
    ),
    ("stores/test_stores.py", "stores/rules/leasing.py", "deaths=row.deaths + died,", "deaths=row.deaths,"),
    (
        "unit/test_records.py",
        "decide/records.py",
        "if encode is not None and _is_json_but_for_kinds(value):",
        "if False:",
    ),
    (
        "served/test_delivery.py",
        "decide/records.py",
        "    except Exception as error:\n        raise _r",
        "    except TypeError as error:\n        raise _r",
    ),
    ("unit/test_poison.py", "decide/poison.py", "deaths < MOST_DEATHS - 1", "deaths < MOST_DEATHS"),
    ("unit/test_poison.py", "decide/poison.py", "max(1, before + (alone and is_suspect(before)))", "before + 1"),
    (
        "stores/test_store_machine.py",
        "stores/rules/leasing.py",
        "died, tables.began) >",
        "died, tables.began) * 0 >",
    ),
    (
        "stores/test_damage.py",
        "stores/sqlite/transaction.py",
        "            if has_moved(db):\n",
        "            if False:\n",
    ),
    ("stores/test_broken_stores.py", "testing/stores/scenes.py", "if not _alike(found, expected):", "if False:"),
    (
        "stores/test_opening.py",
        "stores/opening.py",
        "sorted(options.keys() - set(scheme.names))",
        "sorted([])",
    ),
    ("stores/test_opening.py", "stores/opening.py", "if known := _SCHEMES.get(scheme):", "if known := None:"),
    ("stores/test_opening.py", "stores/sqlite/store.py", "    if folder == folder.parent:\n", "    if False:\n"),
    ("stores/test_moment.py", "stores/moment.py", "max(wall, moment.now)", "wall"),
    ("stores/test_moment.py", "stores/moment.py", "        unix = moment.unix\n", "        pass\n"),
    ("stores/test_wrong_clocks.py", "stores/rules/leasing.py", "    _lapse(tables, math.inf)\n", ""),
    (
        "stores/test_wrong_clocks.py",
        "stores/rules/leasing.py",
        "_lapse(tables, tables.awake)",
        "_lapse(tables, tables.now)",
    ),
    (
        "stores/test_wrong_clocks.py",
        "stores/moment.py",
        "reading.awake + moment.offset >= moment.awake",
        "True",
    ),
    ("served/test_in_step.py", "stores/clock.py", "wait_all_tasks_blocked(math.inf)", "wait_all_tasks_blocked(0)"),
    ("unit/test_cadence.py", "decide/cadence.py", "cadence.min_interval, hint)", "cadence.min_interval)"),
    (
        "runtime/test_workers.py",
        "tasks/workers.py",
        "                        me.context = self._context.copy()\n",
        "",
    ),
    ("runtime/test_workers.py", "tasks/workers.py", "me.context = self._context.copy()  # from", "pass  # from"),
    ("runtime/test_workers.py", "tasks/workers.py", "if me.context.get(variable) is not value:", "if False:"),
    ("runtime/test_workers.py", "tasks/workers.py", "if me._schedule_points == turns or", "if"),
    ("runtime/test_workers.py", "tasks/resting.py", "            self._scopes.remove(scope)\n", ""),
    (
        "runtime/test_workers.py",
        "tasks/resting.py",
        "            trio.lowlevel.reschedule(worker)\n",
        "            pass\n",
    ),
    ("runtime/test_workers.py", "tasks/workers.py", "whole = not scope.cancel_called", "whole = True"),
    ("runtime/test_workers.py", "tasks/workers.py", "if me._cancel_status is not inside:", "if False:"),
    (
        "runtime/test_event_slots.py",
        "schedule/event_slots.py",
        "        lane.turned = next(self._clock)",
        "        pass",
    ),
    (
        "runtime/test_settings.py",
        "run/plan.py",
        "            platforms[self.default.name] = self.default",
        "            pass",
    ),
    (
        "unit/test_quota.py",
        "decide/quota.py",
        "now < found.told + _APART and not must",
        "now < found.told and not must",
    ),
    ("unit/test_quota.py", "decide/quota.py", "if each.left_out or now < each.told + _APART}", "if each.left_out < 0}"),
    ("unit/test_quota.py", "decide/quota.py", "            found.left_out += 1\n", ""),
    ("unit/test_quota.py", "decide/quota.py", "if not at or not str(", "if not at or str("),
    ("runtime/test_lines.py", "observe/lines.py", "            must=first,\n", ""),
    ("runtime/test_lines.py", "observe/lines.py", "whole = first and not", "whole = not"),
    ("runtime/test_lines.py", "observe/lines.py", "if platform in self._declared else self._default", ""),
    (
        "runtime/test_lines.py",
        "observe/log.py",
        "    except Exception:\n        logging",
        "    except KeyError:\n        logging",
    ),
    ("runtime/test_lines.py", "deliver/outbox.py", "            self._lines.failed(failure)\n", "            pass\n"),
    ("runtime/test_lines.py", "run/session.py", "        parts.lines.end()\n", ""),
    (
        "runtime/test_lines.py",
        "run/session.py",
        "        self.penalties.look_whether_open(lane.name)\n",
        "        pass\n",
    ),
    ("runtime/test_lines.py", "run/penalties.py", "news = lane.name not in self._shut", "news = True"),
    (
        "runtime/test_lines.py",
        "run/penalties.py",
        "            self.look_whether_open(name)  # before",
        "            pass  # before",
    ),
    ("runtime/test_lines.py", "run/penalties.py", "        if now < until:\n", "        if False:\n"),
    ("unit/test_holding.py", "decide/rate.py", "self._tat, self._open.copy()", "self._tat, self._open"),
    ("unit/test_holding.py", "decide/allotment.py", "self._times.copy(), self._booked", "self._times, self._booked"),
    (
        "unit/test_holding.py",
        "decide/penalty.py",
        "        if now >= self.until:\n            self.since",
        "        if True:\n            self.since",
    ),
    ("unit/test_holding.py", "decide/penalty.py", "        self.since += seconds\n", ""),
    (
        "unit/test_holding.py",
        "decide/holding.py",
        "max(times.moved, times.waits, times.opened)",
        "max(times.moved, times.waits)",
    ),
    (
        "unit/test_holding.py",
        "decide/holding.py",
        "else Holdup.PENALTY if facts.closed else Holdup.NOTHING",
        "else Holdup.NOTHING",
    ),
    (
        "runtime/test_statistics.py",
        "schedule/lanes.py",
        "for name, lane in self.scheduler.lanes.copy().items()",
        "for name, lane in self.scheduler.lanes.items()",
    ),
    ("runtime/test_statistics.py", "schedule/gates.py", "self._kept.copy().items()", "self._kept.items()"),
    (
        "runtime/test_statistics.py",
        "schedule/lanes.py",
        "                    lane.moved = now\n",
        "                    pass\n",
    ),
    (
        "runtime/test_statistics.py",
        "schedule/lanes.py",
        "                    lane.paused = now\n",
        "                    pass\n",
    ),
    ("runtime/test_statistics.py", "schedule/lanes.py", "        self._look_for_pauses(now)\n", ""),
    (
        "runtime/test_statistics.py",
        "schedule/scheduler.py",
        "        lane.moved = now\n        lane.limit.take(job)\n",
        "        lane.limit.take(job)\n",
    ),
    (
        "runtime/test_statistics.py",
        "schedule/scheduler.py",
        "        lane.moved = now\n        lane.limit.take(record.job)\n",
        "        lane.limit.take(record.job)\n",
    ),
    ("runtime/test_statistics.py", "decide/agenda.py", "            queue.since = now\n", "            pass\n"),
    (
        "runtime/test_statistics.py",
        "run/session.py",
        "return self._last or statistics(self.parts)",
        "return statistics(self.parts)",
    ),
    (
        "runtime/test_statistics.py",
        "schedule/clock.py",
        "        return self.clock.current_time()\n",
        "        return trio.current_time()\n",
    ),
]


def survives(mutant) -> str | None:
    """Run the law's tests on a mutant; say which one it is if they pass."""
    law, name, old, new = mutant
    label = f"{f'law {law}' if isinstance(law, int) else law}, {name}: {old.strip().splitlines()[0]!r}"
    with tempfile.TemporaryDirectory() as folder:
        copy = pathlib.Path(folder, "src")
        shutil.copytree(ROOT / "src", copy, ignore=shutil.ignore_patterns("__pycache__"))
        path = copy / "scrapeengine" / name
        text = path.read_text()
        if text.count(old) < 1:
            return f"{label} is not there any more"
        path.write_text(text.replace(old, new, 1))
        [tests] = (ROOT / "tests").glob(f"laws/test_law_{law:02}_*.py" if isinstance(law, int) else law)
        options = ["-x", "-q", "-p", "no:cacheprovider", "--hypothesis-profile", "mutants"]
        command = [sys.executable, "-m", "pytest", *options, str(tests)]
        environment = os.environ | {"PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1", "MUTANT": str(copy)}
        try:
            result = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=90)  # noqa: PLW1510
        except subprocess.TimeoutExpired:
            print(f"caught   {label}\n         it hangs", flush=True)
            return None
    caught = next((line for line in result.stdout.splitlines() if line.startswith("FAILED")), None)
    print(f"{'caught  ' if result.returncode == 1 else 'SURVIVED'} {label}\n         {caught or ''}", flush=True)
    return None if result.returncode == 1 else label


def main() -> None:
    """Try all mutants, or those of the laws and test files named as arguments."""
    chosen = [mutant for mutant in MUTANTS if not sys.argv[1:] or str(mutant[0]) in sys.argv[1:]]
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        survivors = [label for label in pool.map(survives, chosen) if label]
    print(f"{len(chosen) - len(survivors)} passed, {len(survivors)} failed")
    if survivors:
        sys.exit("\n".join(["These mutants survived:", *survivors]))


if __name__ == "__main__":
    main()
