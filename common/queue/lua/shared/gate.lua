-- The gate (design section 4). Shared part: expects `clock`, and of `gate.open(keys_at, args_at)` that hash, tokens and
-- slots stand in KEYS from `keys_at`, and "the gate's nine" in ARGV from `args_at`: requests ('' = no rate), window ms, slots, hold ms
-- (a request's longest life), margin ms, reserve, what the caller was told: how far the gate's clock is ahead of its own
-- in ms and the gate's mark, with a space between ('' = it has not seen the gate yet), the caller's monotonic clock in
-- ms, the name of that clock.
--
-- The mark (`born`) is made with the state and is another one when the state was lost in between. Nobody knows then how
-- many tokens are out, so nobody goes for one window from its birth (R43). What was under way before counts again from
-- its own end on (`date_token`); what takes longer than that window, its process enters anew in time (`keep.lua`).
--
-- The gate's clock begins with Redis' time and is carried on by the monotonic clocks of those who call, so a server clock
-- that steps does not give tokens back early, nor never (R41). All processes of a machine read one monotonic clock:
-- whoever calls next, it is known how long ago the last call was. Only between machines a process goes by the
-- difference that it was told once, and by Redis' time where it knows nothing yet. The clock never runs backwards.

-- Calls that were under way together may run in another order than that of the times they hand in, but not by this.
local DISORDER_MS = 60000
-- How long after its time a token is kept for the queue that was told of it.
local LATE_MS = 1000

local gate = {}

function gate.open(keys_at, args_at)
  gate.hash, gate.tokens, gate.slots = KEYS[keys_at], KEYS[keys_at + 1], KEYS[keys_at + 2]
  local limits = {
    requests = tonumber(ARGV[args_at]),
    window = tonumber(ARGV[args_at + 1]),
    connections = tonumber(ARGV[args_at + 2]),
    hold = tonumber(ARGV[args_at + 3]),
    margin = tonumber(ARGV[args_at + 4]),
    reserve = tonumber(ARGV[args_at + 5]),
  }
  local ahead, known = string.match(ARGV[args_at + 6], '^(%S+) (%S+)$')
  ahead = tonumber(ahead)
  local caller_ms, clock = tonumber(ARGV[args_at + 7]), ARGV[args_at + 8]
  gate.limits = limits
  gate.wall = wall_ms()
  local state = redis.call('HMGET', gate.hash, 'now', 'at', 'born', 'paused_until', 'probe', 'line', 'permits', 'streak',
    'reason', 'clock', 'clock_ms', 'singles_wait', 'bulk_waits', 'reads', 'ramp')
  local saved, at, since = tonumber(state[1]), tonumber(state[2]), tonumber(state[11])
  local told = ahead and ahead + caller_ms
  if not saved then
    gate.now = told or gate.wall
  elseif clock == state[10] and caller_ms > since - DISORDER_MS then
    gate.now = saved + math.max(0, caller_ms - since)
  else
    gate.now = math.max(saved, told or saved + gate.wall - at)
  end
  gate.paused_until = tonumber(state[4]) or 0
  gate.probe = state[5]
  gate.line = tonumber(state[6]) or 0
  gate.permits = tonumber(state[7]) or 0
  gate.streak = tonumber(state[8]) or 0
  gate.reason = state[9] or ''
  gate.singles_wait, gate.bulk_waits = tonumber(state[12]) or 0, tonumber(state[13]) or 0
  gate.reads = tonumber(state[14]) or 0
  gate.ramp = tonumber(state[15])
  -- The first write: not refused at OOM, and all that follow pass then (R15).
  redis.call('ZREMRANGEBYSCORE', gate.tokens, '-inf', gate.now)
  redis.call('ZREMRANGEBYSCORE', gate.slots, '-inf', gate.now)
  if gate.now ~= saved then
    redis.call('HSET', gate.hash, 'now', gate.now, 'at', gate.wall, 'clock', clock, 'clock_ms', caller_ms)
  end
  gate.born = state[3]
  if not gate.born then
    gate.born = string.format('%.0f/%s', gate.now, redis.call('TIME')[2])
    redis.call('HSET', gate.hash, 'born', gate.born)
  end
  local empty_until = tonumber(string.match(gate.born, '^%d+')) + limits.window
  if limits.requests and known and known ~= '-' and known ~= gate.born
    and empty_until > math.max(gate.now, gate.paused_until) then
    gate.paused_until = empty_until
    gate.reason = 'state_lost'
    redis.call('HSET', gate.hash, 'paused_until', gate.paused_until, 'reason', gate.reason)
  end
  gate.free_slots = math.min(limits.connections, gate.ramp or math.huge) - redis.call('ZCARD', gate.slots)
  gate.free_tokens = limits.requests and limits.requests - redis.call('ZCARD', gate.tokens) or math.huge
  gate.new_slots, gate.new_tokens, gate.freed = {}, {}, {}
  gate.pace = limits.requests and limits.window / limits.requests or 0
end

-- Where a time of the server's clock lies on the gate's own, as far as can be said now. Retries wait by the gate's clock:
-- a step of the server's neither hurries nor stops them.
function gate.at(wall_time)
  return gate.now + wall_time - gate.wall
end

-- How many ms until the pause ends or its probe is back; nil when the gate is open or may be probed.
function gate.paused_for()
  if gate.paused_until > gate.now then
    return gate.paused_until - gate.now
  end
  if gate.probe and gate.probe ~= '' then
    local until_ms = redis.call('ZSCORE', gate.slots, gate.probe)
    if until_ms then
      return math.min(500, tonumber(until_ms) - gate.now)
    end
  end
  return nil
end

-- Until the n-th token from now is back.
function gate.token_back_in(n)
  local row = redis.call('ZRANGE', gate.tokens, n - 1, n - 1, 'WITHSCORES')
  return row[2] and math.max(1, math.ceil(tonumber(row[2]) - gate.now)) or gate.limits.window
end

function gate.slot_back_in()
  local row = redis.call('ZRANGE', gate.slots, 0, 0, 'WITHSCORES')
  return row[2] and math.max(1, math.ceil(tonumber(row[2]) - gate.now)) or gate.limits.hold
end

-- Each take of either class moves the pace line of bulk on; it may be late by one pace and catch up.
function gate.move_line()
  gate.line = math.max(gate.line, gate.now - gate.pace) + gate.pace
end

-- The queue asks again in `ask_in` ms for a token for single messages, for bulk, or both; until then it has a claim.
function gate.claim(singles, bulk, ask_in)
  gate.singles_wait = singles and gate.now + ask_in + LATE_MS or 0
  gate.bulk_waits = bulk and gate.now + ask_in + LATE_MS or 0
end

-- Callers without a queue entry may be many, and each asks for itself. Where the queue waits, too, every other token is
-- left to its single messages and one in ten to bulk: for how many ms, or nil.
function gate.left_to_queue()
  local claims, until_ms = 0, 0
  if gate.singles_wait > gate.now and gate.reads > 0 then
    claims, until_ms = claims + 1, gate.singles_wait
  end
  if gate.bulk_waits > gate.now and gate.streak >= 9 then
    claims, until_ms = claims + 1, math.max(until_ms, gate.bulk_waits)
  end
  if gate.free_tokens > claims then
    return nil
  end
  return math.min(gate.token_back_in(1), math.ceil(until_ms - gate.now))
end

-- Such a caller has got a token.
function gate.count_read()
  gate.reads = gate.reads + 1
  if gate.bulk_waits > gate.now then
    gate.streak = gate.streak + 1
  end
end

-- A new permit: a slot and the token of its first request.
function gate.take(name)
  gate.permits = gate.permits + 1
  local permit = name .. '/' .. gate.permits
  gate.new_slots[#gate.new_slots + 1] = gate.now + gate.limits.hold
  gate.new_slots[#gate.new_slots + 1] = permit
  gate.new_tokens[#gate.new_tokens + 1] = gate.now + gate.limits.hold + gate.limits.window
  gate.new_tokens[#gate.new_tokens + 1] = permit
  gate.free_slots = gate.free_slots - 1
  gate.free_tokens = gate.free_tokens - 1
  gate.move_line()
  if gate.probe then
    gate.probe = permit
  end
  return permit
end

function gate.save()
  if #gate.new_slots > 0 then
    redis.call('ZADD', gate.slots, unpack(gate.new_slots))
    if gate.limits.requests then
      redis.call('ZADD', gate.tokens, unpack(gate.new_tokens))
    end
  end
  redis.call('HSET', gate.hash, 'line', gate.line, 'permits', gate.permits, 'streak', gate.streak, 'singles_wait',
    gate.singles_wait, 'bulk_waits', gate.bulk_waits, 'reads', gate.reads)
  if gate.probe then
    redis.call('HSET', gate.hash, 'probe', gate.probe)
  end
end

-- The request is over: its token stops counting one window from now, also where the gate knew it no more. An unused
-- token comes back at once; after a timeout of ours the request may still arrive, so a margin is added.
function gate.date_token(token, how)
  if not gate.limits.requests or token == '' then
    return
  end
  if how == 'unused' then
    redis.call('ZREM', gate.tokens, token)
  else
    local margin = how == 'aborted' and gate.limits.margin or 0
    redis.call('ZADD', gate.tokens, gate.now + gate.limits.window + margin, token)
  end
end

-- The slots of all permits that have ended are free.
function gate.free()
  if #gate.freed > 0 then
    redis.call('ZREM', gate.slots, unpack(gate.freed))
  end
end

-- A permit's last request is over. An answer that shows the other side well ends the pause's probe, and then lets one
-- more be open than before: what has piled up in a pause comes back at twice as many each time, not all at once. After a
-- timeout of ours the other side may still have the request open: its slot is kept for the margin.
function gate.ended(permit, token, how, passed)
  gate.date_token(token, how)
  if how == 'aborted' then
    redis.call('ZADD', gate.slots, 'XX', gate.now + gate.limits.margin, permit)
  else
    gate.freed[#gate.freed + 1] = permit
  end
  if not passed then
    return
  end
  if gate.probe == permit then
    redis.call('HDEL', gate.hash, 'probe', 'pauses', 'reason', 'paused_until')
    gate.probe = false
    gate.ramp = redis.call('ZCARD', gate.slots)
  elseif not gate.ramp then
    return
  end
  gate.ramp = gate.ramp + 1
  if gate.ramp < gate.limits.connections then
    redis.call('HSET', gate.hash, 'ramp', gate.ramp)
  else
    gate.ramp = nil
    redis.call('HDEL', gate.hash, 'ramp')
  end
end
