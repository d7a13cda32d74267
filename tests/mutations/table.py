"""
The mutations: which line of which script is changed, which promise that breaks, and which test must fail for it.
"""

from __future__ import annotations

from dataclasses import dataclass

LOST = "1 nothing accepted is lost"
LIMIT = "2 never above the limit"
ONCE = "3 one message, once"
ORDER = "4 in order, chat by chat"
HEALS = "5 it heals by itself"
PROMISES = (LOST, LIMIT, ONCE, ORDER, HEALS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutation:
    """
    One change of a script. `pattern` occurs in it exactly once; `quick` ones are tried in every run of the suite.
    """

    name: str
    promise: str
    script: str
    pattern: str
    replacement: str
    test: str
    quick: bool = False

    def __str__(self) -> str:
        return self.name.replace(" ", "-")

    def applied(self, text: str) -> str:
        """
        Return the script with this change.
        """
        assert text.count(self.pattern) == 1, f"{self.script}: {text.count(self.pattern)} times {self.pattern!r}"
        return text.replace(self.pattern, self.replacement)


MUTATIONS = (
    Mutation(
        name="a long stream is trimmed",
        promise=LOST,
        script="accept_command",
        pattern="redis.call('XADD', stream, '*',",
        replacement="redis.call('XADD', stream, 'MAXLEN', 100, '*',",
        test="test_intake.py::test_many_commands_keep_their_order",
        quick=True,
    ),
    Mutation(
        name="a dead letter is not written",
        promise=LOST,
        script="settle",
        pattern="  redis.call('XADD', dead_letters, '*', unpack(item.dead))\n",
        replacement="",
        test="test_records.py::test_a_dead_letter_says_why_and_can_be_put_back",
    ),
    Mutation(
        name="a retry drops the entry",
        promise=LOST,
        script="settle",
        pattern="  if not move(i, item.id, '~retry') then\n",
        replacement="  if true then\n",
        test="test_order.py::test_a_retry_holds_back_its_chat_and_no_other",
    ),
    Mutation(
        name="a redriven letter is only deleted",
        promise=LOST,
        script="redrive",
        pattern="local entry_id = redis.call('XADD', KEYS[2], '*', unpack(ARGV, 9, 8 + count))",
        replacement="local entry_id = ARGV[1]",
        test="test_records.py::test_a_dead_letter_says_why_and_can_be_put_back",
    ),
    Mutation(
        name="a token comes back with the answer",
        promise=LIMIT,
        script="shared/gate",
        pattern="    redis.call('ZADD', gate.tokens, gate.now + gate.limits.window + margin, token)",
        replacement="    redis.call('ZREM', gate.tokens, token)",
        test="test_gate.py::test_a_token_comes_back_one_window_after_the_request_ended",
        quick=True,
    ),
    Mutation(
        name="a token counts from the start of its request",
        promise=LIMIT,
        script="shared/gate",
        pattern="    redis.call('ZADD', gate.tokens, gate.now + gate.limits.window + margin, token)",
        replacement="    redis.call('ZADD', gate.tokens, 'LT', gate.now + margin, token)",
        test="test_gate.py::test_no_window_holds_more_than_the_limit",
    ),
    Mutation(
        name="slots are not counted",
        promise=LIMIT,
        script="shared/gate",
        pattern="math.min(limits.connections, gate.ramp or math.huge) - redis.call('ZCARD', gate.slots)",
        replacement="limits.connections",
        test="test_gate.py::test_slots_are_shared_by_all_replicas",
    ),
    Mutation(
        name="a lost gate counts as empty",
        promise=LIMIT,
        script="shared/gate",
        pattern="  if limits.requests and known and known ~= '-' and known ~= gate.born\n    and",
        replacement="  if false and",
        test="test_gate.py::test_a_lost_gate_counts_as_full_for_one_window",
    ),
    Mutation(
        name="further requests of a slot are free",
        promise=LIMIT,
        script="acquire",
        pattern="""
    redis.call('ZADD', gate.tokens, gate.now + limits.hold + limits.window, token)
  end
  gate.move_line()
""",
        replacement="""
  end
  gate.move_line()
""",
        test="test_gate.py::test_each_request_in_a_slot_takes_a_token_of_its_own",
    ),
    Mutation(
        name="an idempotency key is not looked up",
        promise=ONCE,
        script="accept_command",
        pattern="    if known then",
        replacement="    if false then",
        test="test_intake.py::test_one_key_from_fifty_callers_makes_one_command",
        quick=True,
    ),
    Mutation(
        name="a repeated webhook is stored again",
        promise=ONCE,
        script="accept_event",
        pattern="  if known then",
        replacement="  if false then",
        test="test_intake.py::test_a_repeated_webhook_is_one_event",
    ),
    Mutation(
        name="anybody may settle",
        promise=ONCE,
        script="settle",
        pattern="  return mine[item.id]",
        replacement="  return true",
        test="test_faults.py::test_a_result_comes_too_late_when_the_entry_was_adopted",
    ),
    Mutation(
        name="a dead worker sent nothing",
        promise=ONCE,
        script="adopt",
        pattern="  tries.outcome_unknown, tries.redriven = true, nil",
        replacement="  tries.outcome_unknown, tries.redriven = false, nil",
        test="test_faults.py::test_entries_of_a_dead_worker_are_taken_over_with_their_outcome_unknown",
    ),
    Mutation(
        name="the idle time says since when a dead worker sent",
        promise=ONCE,
        script="adopt",
        pattern="math.max(idle, gate.now - permits_of(id).since)",
        replacement="idle",
        test="test_faults.py::test_its_slot_tells_since_when_an_entry_was_out",
    ),
    Mutation(
        name="after the loss of a group nothing was sent",
        promise=ONCE,
        script="take",
        pattern="        parsed.outcome_unknown = true",
        replacement="        parsed.outcome_unknown = false",
        test="test_faults.py::test_a_lost_group_is_made_again_at_the_start_of_the_stream",
    ),
    Mutation(
        name="lanes are ignored",
        promise=ORDER,
        script="take",
        pattern="  local follows = head and head ~= id\n",
        replacement="  local follows = false\n",
        test="test_order.py::test_each_chat_is_handled_in_the_order_of_acceptance",
        quick=True,
    ),
    Mutation(
        name="lanes of the other stream are ignored",
        promise=ORDER,
        script="take",
        pattern="  if follows or lane ~= '' and busy_elsewhere(streams, i, lane) then",
        replacement="  if follows then",
        test="test_order.py::test_a_chat_has_one_entry_out_over_both_streams",
    ),
    Mutation(
        name="a retry passes the turn on",
        promise=ORDER,
        script="settle",
        pattern="  redis.call('ZADD', key(i, RETRY), gate.now + item.after_ms, item.id)\n",
        replacement="""
  redis.call('ZADD', key(i, RETRY), gate.now + item.after_ms, item.id)
  pass_turn(streams, i, item.lane)
""",
        test="test_order.py::test_a_retry_holds_back_its_chat_and_no_other",
    ),
    Mutation(
        name="a lost group is made at the end of its stream",
        promise=HEALS,
        script="ensure",
        pattern="ARGV[1], '0', 'MKSTREAM'",
        replacement="ARGV[1], '$', 'MKSTREAM'",
        test="test_model.py::test_what_the_model_found_once_stays_mended[out_again_when_the_group_is_lost]",
        quick=True,
    ),
    Mutation(
        name="nobody is adopted",
        promise=HEALS,
        script="adopt",
        pattern="      elseif not alive[name] and consumer.idle >= life then",
        replacement="      elseif false then",
        test="test_faults.py::test_entries_of_a_dead_worker_are_taken_over_with_their_outcome_unknown",
    ),
    Mutation(
        name="what a lost reply left in hand stays there",
        promise=HEALS,
        script="adopt",
        pattern="          if not mine[i .. ':' .. row[1]] then",
        replacement="          if false then",
        test="test_faults.py::test_a_lost_reply_of_take_is_found_again",
    ),
    Mutation(
        name="indexes are not mended",
        promise=HEALS,
        script="mend",
        pattern="local mended = restore_heads(i, summaries[i])",
        replacement="do return { '0', '-', '-', 0 } end\nlocal mended = 0",
        test="test_faults.py::test_indexes_deleted_by_hand_are_mended_from_the_pending_list",
    ),
)
