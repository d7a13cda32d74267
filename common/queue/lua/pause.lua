-- Stop everybody who calls this destination for a while; then one request probes (R44).
--
-- KEYS         the gate: hash, tokens, slots
-- ARGV         the gate's nine, pause ms ('' = from 1 s doubling to 60 s with each pause in a row), reason
-- Reply        {ms until the pause ends, gate ms, wall ms}
-- Safe at OOM: passes
-- Owner-checked: not needed, a pause only grows
-- include: clock, gate

gate.open(1, 1)
local ms = tonumber(ARGV[10])
if not ms then
  -- Requests that were under way together fail together: that is one pause, not several in a row.
  local pauses = tonumber(redis.call('HGET', gate.hash, 'pauses')) or 0
  if gate.paused_until <= gate.now then
    pauses = redis.call('HINCRBY', gate.hash, 'pauses', 1)
  end
  ms = math.min(60000, 1000 * 2 ^ (math.max(1, pauses) - 1))
end
local until_ms = math.max(gate.paused_until, gate.now + ms)
redis.call('HSET', gate.hash, 'paused_until', until_ms, 'reason', ARGV[11], 'probe', '')
redis.call('HDEL', gate.hash, 'ramp')
return { math.ceil(until_ms - gate.now), string.format('%.3f', gate.now), gate.wall }
