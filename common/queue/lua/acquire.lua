-- A permit for a request that has no queue entry, or the token of the next request in a permit's slot.
--
-- KEYS         the gate: hash, tokens, slots
-- ARGV         the gate's nine, name for a new permit, permit ('' = a new one), its current token ('' = none), how that
--              ended: used | aborted | unused | open
-- Reply        {why, ask again in ms, gate ms, wall ms, permit, token, reason, mark}; why: ok | rate | slots | paused
-- Safe at OOM: passes (its first write is a ZREMRANGEBYSCORE)
-- Owner-checked: permits are unguessable by others: entry id or caller's name, and a number of the gate's own
-- include: clock, gate

gate.open(1, 1)
local limits = gate.limits
local permit, token, how = ARGV[11], ARGV[12], ARGV[13]

local function reply(why, ask_in)
  gate.save()
  return { why, ask_in, string.format('%.3f', gate.now), gate.wall, permit, token, gate.reason, gate.born }
end

-- A request that never began keeps its token, if that still counts: it is only dated anew.
local function renew()
  if how ~= 'open' or token == '' then
    return false
  end
  if limits.requests and not redis.call('ZSCORE', gate.tokens, token) then
    return false
  end
  if limits.requests then
    redis.call('ZADD', gate.tokens, gate.now + limits.hold + limits.window, token)
  end
  return true
end

if token ~= '' and how ~= 'open' then
  gate.date_token(token, how)
  token = ''
end
if permit ~= '' and not redis.call('ZSCORE', gate.slots, permit) then
  if gate.free_slots <= 0 then
    return reply('slots', gate.slot_back_in())
  end
  gate.free_slots = gate.free_slots - 1
end
if permit ~= '' then
  redis.call('ZADD', gate.slots, gate.now + limits.hold, permit)
end
local paused = gate.paused_for()
if paused and (permit == '' or gate.probe ~= permit or gate.paused_until > gate.now) then
  return reply('paused', math.ceil(paused))
end
if permit ~= '' and renew() then
  return reply('ok', 0)
end
if gate.free_tokens <= 0 then
  return reply('rate', gate.token_back_in(1 - gate.free_tokens))
end
if permit == '' then
  if gate.free_slots <= 0 then
    return reply('slots', gate.slot_back_in())
  end
  local left = gate.left_to_queue()
  if left then
    return reply('rate', left)
  end
  gate.count_read()
  permit = gate.take(ARGV[10])
  token = permit
else
  gate.permits = gate.permits + 1
  token = permit .. '/' .. gate.permits
  if limits.requests then
    redis.call('ZADD', gate.tokens, gate.now + limits.hold + limits.window, token)
  end
  gate.move_line()
end
return reply('ok', 0)
