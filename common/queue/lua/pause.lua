-- Stop everybody who calls this destination for a while; then one request probes (R44).
--
-- KEYS         the gate: hash, tokens, slots
-- ARGV         requests, window ms, slots, hold ms, margin ms, anchor ms, elapsed ms, '1' when the caller has seen the
--              gate before, pause ms ('' = from 1 s doubling to 60 s with each pause in a row), reason
-- Reply        {ms until the pause ends, gate ms, wall ms}
-- Safe at OOM: passes
-- Owner-checked: not needed, a pause only grows
-- include: gate

gate.open(1, {
  requests = tonumber(ARGV[1]),
  window = tonumber(ARGV[2]),
  connections = tonumber(ARGV[3]),
  hold = tonumber(ARGV[4]),
  margin = tonumber(ARGV[5]),
}, tonumber(ARGV[6]), tonumber(ARGV[7]), ARGV[8] == '1')
local ms = tonumber(ARGV[9])
if not ms then
  -- Requests that were under way together fail together: that is one pause, not several in a row.
  local pauses = tonumber(redis.call('HGET', gate.hash, 'pauses')) or 0
  if gate.paused_until <= gate.now then
    pauses = redis.call('HINCRBY', gate.hash, 'pauses', 1)
  end
  ms = math.min(60000, 1000 * 2 ^ (math.max(1, pauses) - 1))
end
local until_ms = math.max(gate.paused_until, gate.now + ms)
redis.call('HSET', gate.hash, 'paused_until', until_ms, 'reason', ARGV[10], 'probe', '')
return { math.ceil(until_ms - gate.now), string.format('%.0f', gate.now), gate.wall }
