-- How a gate stands now, without changing it. Shared part: expects nothing. The gate's own clock is carried
-- on from the moment it was last saved by what has gone by since on the server's, `wall` ms.

-- {tokens out, slots open, paused ms, reason}
local function usage(hash, tokens, slots, wall)
  local state = redis.call('HMGET', hash, 'now', 'at', 'paused_until', 'reason', 'probe')
  local now = wall
  if state[1] then
    now = tonumber(state[1]) + math.max(0, wall - (tonumber(state[2]) or 0))
  end
  local from = string.format('(%.3f', now)
  local paused = math.max(0, math.floor((tonumber(state[3]) or 0) - now + 0.5))
  local reason = (paused > 0 or state[5]) and state[4] or ''
  return { redis.call('ZCOUNT', tokens, from, '+inf'), redis.call('ZCOUNT', slots, from, '+inf'), paused, reason }
end
