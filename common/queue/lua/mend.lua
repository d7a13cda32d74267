-- Mend the indexes from the pending list, a bounded part at a time (R19).
--
-- KEYS         per stream: stream, lanes, waiting, ready, retry, tries; then the gate: hash, tokens, slots
-- ARGV         number of streams, group, stream number, cursor of the lanes, cursor of `~retry`, cursor of `~lane`, count,
--              the gate's nine
-- Reply        {next cursor of the lanes, of `~retry`, of `~lane` ('-' = from the start again), mended}
-- Safe at OOM: passes (its first write is a ZREMRANGEBYSCORE)
-- Owner-checked: it follows the pending list and changes no owner but from `~retry` or `~lane` to the same
-- include: clock, gate, lanes

local streams, i, count = tonumber(ARGV[1]), tonumber(ARGV[3]), ARGV[7]
group = ARGV[2]

-- Where a group is gone nothing can be mended: raises NOGROUP before anything is changed.
local summaries = {}
for j = 1, streams do
  summaries[j] = redis.call('XPENDING', key(j, STREAM), group)
end
gate.open(streams * 6 + 1, 8)
local mended = restore_heads(i, summaries[i])

-- A head that is no longer pending passes the turn on; one whose turn it is must be in `ready`. One that was deleted
-- while a worker has it stays the worker's until that has settled, or is adopted.
local scan = redis.call('HSCAN', key(i, LANES), ARGV[4], 'COUNT', count)
for f = 1, #scan[2], 2 do
  local lane, id = scan[2][f], scan[2][f + 1]
  local who = owner(i, id)
  if who and string.sub(who, 1, 1) == '~' and #redis.call('XRANGE', key(i, STREAM), id, id) == 0 then
    redis.call('XACK', key(i, STREAM), group, id)
    who = nil
  end
  if not who then
    redis.call('HDEL', key(i, TRIES), id)
    pass_turn(streams, i, lane)
    mended = mended + 1
  elseif who == '~lane' and not busy_elsewhere(streams, i, lane) and not redis.call('LPOS', key(i, READY), id) then
    redis.call('RPUSH', key(i, READY), id)
    mended = mended + 1
  end
end

local function pending(consumer, cursor, each)
  local rows = redis.call('XPENDING', key(i, STREAM), group, cursor, '+', count, consumer)
  for _, row in ipairs(rows) do
    local fields = redis.call('XRANGE', key(i, STREAM), row[1], row[1])[1]
    if fields then
      each(row[1], fields[2])
    else
      -- A ghost: somebody deleted the entry underneath (R22).
      redis.call('XACK', key(i, STREAM), group, row[1])
      redis.call('HDEL', key(i, TRIES), row[1])
      redis.call('ZREM', key(i, RETRY), row[1])
      mended = mended + 1
    end
  end
  return #rows == tonumber(count) and '(' .. rows[#rows][1] or '-'
end

local next_retry = pending('~retry', ARGV[5], function(id, fields)
  local lane, due = lane_of(fields), not_before(fields) or 0
  local ahead = due > gate.wall and redis.call('HEXISTS', key(i, TRIES), id) == 0
  local at, score = ahead and gate.at(due) or 0, redis.call('ZSCORE', key(i, RETRY), id)
  -- A scheduled send follows the server's clock, also when that is set: a second is what clocks differ by anyway.
  if not score or ahead and math.abs(tonumber(score) - at) > 1000 then
    redis.call('ZADD', key(i, RETRY), at, id)
    mended = mended + 1
  end
  -- What was out before keeps its turn; a scheduled send has none yet.
  if lane ~= '' and not ahead and not redis.call('HGET', key(i, LANES), lane) then
    redis.call('HSET', key(i, LANES), lane, id)
    mended = mended + 1
  end
end)

local next_lane = pending('~lane', ARGV[6], function(id, fields)
  local lane = lane_of(fields)
  local head = redis.call('HGET', key(i, LANES), lane)
  if head == id then
    return
  end
  local member = lane .. SEPARATOR .. pad(id)
  if not redis.call('ZSCORE', key(i, WAITING), member) then
    redis.call('ZADD', key(i, WAITING), 0, member)
    mended = mended + 1
  end
  if not head then
    pass_turn(streams, i, lane)
    mended = mended + 1
  end
end)

return { scan[1], next_retry, next_lane, mended }
