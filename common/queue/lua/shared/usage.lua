-- How a gate stands now, without changing it. Shared part: expects nothing. The gate's own clock is carried
-- on from the moment it was last saved by what has gone by since on the server's, `wall` ms.

local function gate_now(hash, wall)
  local saved = redis.call('HMGET', hash, 'now', 'at')
  return saved[1] and tonumber(saved[1]) + math.max(0, wall - (tonumber(saved[2]) or 0)) or wall
end

-- {tokens out, slots open, paused ms, reason, held since ms ('' = it is not), by whom, why}
local function usage(hash, tokens, slots, wall)
  local state = redis.call('HMGET', hash, 'paused_until', 'reason', 'probe', 'held_since', 'held_by', 'held_why')
  local now = gate_now(hash, wall)
  local from = string.format('(%.3f', now)
  local paused = math.max(0, math.floor((tonumber(state[1]) or 0) - now + 0.5))
  local reason = (paused > 0 or state[3]) and state[2] or ''
  local out, open = redis.call('ZCOUNT', tokens, from, '+inf'), redis.call('ZCOUNT', slots, from, '+inf')
  return { out, open, paused, reason, state[4] or '', state[5] or '', state[6] or '' }
end
