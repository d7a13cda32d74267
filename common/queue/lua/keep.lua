-- Enter anew what is under way and was taken before the gate lost its state.
--
-- KEYS         the gate: hash, tokens, slots
-- ARGV         the gate's nine; then per permit its name, its token, and the gate's mark when it was taken
-- Reply        {gate ms, wall ms, mark}
-- Safe at OOM: passes (its first write is a ZREMRANGEBYSCORE)
-- Owner-checked: by the permits' names
-- include: clock, gate

gate.open(1, 1)
for n = 10, #ARGV, 3 do
  if ARGV[n + 2] ~= gate.born then
    redis.call('ZADD', gate.slots, 'NX', gate.now + gate.limits.hold, ARGV[n])
    redis.call('ZADD', gate.tokens, 'NX', gate.now + gate.limits.hold + gate.limits.window, ARGV[n + 1])
  end
end
return { string.format('%.3f', gate.now), gate.wall, gate.born }
