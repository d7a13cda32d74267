-- Lanes (design section 3): per chat one entry is out at a time, over all streams of the queue, oldest first within
-- a stream. Shared part: expects `group`; the keys of stream i are KEYS[6(i-1)+1 ..]: stream, lanes, waiting, ready,
-- retry, tries. The pending list is the truth, these keys are indexes over it (R19).

local STREAM, LANES, WAITING, READY, RETRY, TRIES = 1, 2, 3, 4, 5, 6
local SEPARATOR = '\31'

local function key(i, which)
  return KEYS[(i - 1) * 6 + which]
end

local function pad(id)
  local ms, seq = string.match(id, '^(%d+)-(%d+)$')
  return string.rep('0', 20 - #ms) .. ms .. '-' .. string.rep('0', 20 - #seq) .. seq
end

local function unpad(padded)
  local ms, seq = string.match(padded, '^0*(%d+)%-0*(%d+)$')
  return ms .. '-' .. seq
end

-- The consumer an entry is pending for, or nil: also where its group is gone, for an error in the middle of a script
-- would leave half of it written (R17).
local function owner(i, id)
  local row = redis.pcall('XPENDING', key(i, STREAM), group, id, id, 1)[1]
  return row and row[2]
end

local function move(i, id, consumer)
  return #redis.call('XCLAIM', key(i, STREAM), group, consumer, 0, id, 'JUSTID') == 1
end

local function lane_of(fields)
  local lane, chat = '', ''
  for f = 1, #fields, 2 do
    if fields[f] == 'lane' then
      lane = fields[f + 1]
    elseif fields[f] == 'chat_id' then
      chat = fields[f + 1]
    end
  end
  return lane ~= '' and lane or chat
end

local function not_before(fields)
  for f = 1, #fields, 2 do
    if fields[f] == 'not_before' then
      return tonumber(fields[f + 1])
    end
  end
end

-- What was out and comes back heads its lane, also where somebody deleted the index meanwhile: its chat waits for it.
local function keep_turn(i, lane, id)
  if lane ~= '' then
    redis.call('HSETNX', key(i, LANES), lane, id)
  end
end

-- What workers have out heads its lane, whatever became of the index. `summary` is the stream's XPENDING.
local function restore_heads(i, summary)
  local restored = 0
  for _, consumer in ipairs(summary[4] or {}) do
    if string.sub(consumer[1], 1, 1) ~= '~' then
      for _, row in ipairs(redis.call('XPENDING', key(i, STREAM), group, '-', '+', 1000, consumer[1])) do
        local entry = redis.call('XRANGE', key(i, STREAM), row[1], row[1])[1]
        local lane = entry and lane_of(entry[2]) or ''
        if lane ~= '' and not redis.call('HGET', key(i, LANES), lane) then
          redis.call('HSET', key(i, LANES), lane, row[1])
          restored = restored + 1
        end
      end
    end
  end
  return restored
end

-- Whether stream j has lanes at all; asked once a script, for most accounts use one stream at a time.
local has_lanes = {}
local function lanes_in(j)
  if has_lanes[j] == nil then
    has_lanes[j] = redis.call('EXISTS', key(j, LANES)) == 1
  end
  return has_lanes[j]
end

-- Whether another stream has this lane's entry out: with a worker, or between two attempts.
local function busy_elsewhere(streams, i, lane)
  for j = 1, streams do
    if j ~= i and lanes_in(j) then
      local head = redis.call('HGET', key(j, LANES), lane)
      local who = head and owner(j, head)
      if who and who ~= '~lane' then
        return true
      end
    end
  end
  return false
end

-- Heads of the other streams that were blocked by this lane may try; one that waits for the gate is told once.
local function wake_elsewhere(streams, i, lane)
  for j = 1, streams do
    if j ~= i and lanes_in(j) then
      local head = redis.call('HGET', key(j, LANES), lane)
      if head and owner(j, head) == '~lane' and not redis.call('LPOS', key(j, READY), head) then
        redis.call('RPUSH', key(j, READY), head)
      end
    end
  end
end

-- The head of the lane is settled: its next follower gets the turn, or the lane is free. Followers that somebody
-- deleted by hand are passed over.
local function pass_turn(streams, i, lane)
  for _ = 1, 100 do
    local member = redis.call('ZRANGEBYLEX', key(i, WAITING), '[' .. lane .. SEPARATOR, '(' .. lane .. SEPARATOR .. ':',
      'LIMIT', 0, 1)[1]
    if not member then
      redis.call('HDEL', key(i, LANES), lane)
      break
    end
    redis.call('ZREM', key(i, WAITING), member)
    local id = unpad(string.sub(member, #lane + 2))
    if owner(i, id) == '~lane' and move(i, id, '~lane') then
      redis.call('HSET', key(i, LANES), lane, id)
      redis.call('RPUSH', key(i, READY), id)
      break
    end
  end
  wake_elsewhere(streams, i, lane)
end

-- Entries leave the queue for good (R20), and each lane they headed passes its turn on. Where the group is gone
-- there is nothing to acknowledge and the lanes are rebuilt with it.
local function remove_all(streams, i, ids, lanes)
  redis.call('XACK', key(i, STREAM), group, unpack(ids))
  redis.call('XDEL', key(i, STREAM), unpack(ids))
  redis.call('HDEL', key(i, TRIES), unpack(ids))
  local heads = redis.call('HMGET', key(i, LANES), unpack(lanes))
  local free = {}
  local anyone = redis.call('EXISTS', key(i, WAITING)) == 1
  for n, id in ipairs(ids) do
    if heads[n] == id then
      if anyone then
        pass_turn(streams, i, lanes[n])
      else
        free[#free + 1] = lanes[n]
      end
    end
  end
  if #free > 0 then
    redis.call('HDEL', key(i, LANES), unpack(free))
    for _, lane in ipairs(free) do
      wake_elsewhere(streams, i, lane)
    end
  end
end
