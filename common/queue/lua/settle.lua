-- Settle what workers have finished with, each item for itself: done, retry or dead.
--
-- KEYS         per stream: stream, lanes, waiting, ready, retry, tries; the gate: hash, tokens, slots; dead letters;
--              the stream for callbacks, index of messages; then what the items name by index: records, sent lists
-- ARGV         number of streams, group, worker, channel of ends ('' = none), the gate's nine, record's life ms, then the
--              items as one JSON list, sorted done, retry, dead (R17). An item: {stream, id, lane, permit, token, how,
--              action, record, fields} and where it applies {passed, after_ms, tries, message, sent, dead, callback,
--              ended, listed}
-- Reply        {{one of ok | lost | refused per item}, entries left in all streams (-1: a group is gone)}
-- Safe at OOM: done and retry pass; dead is refused where it comes first, and the entry stays pending (R15)
-- Owner-checked: an item whose entry is not pending for this worker is `lost` and changes nothing (R21); where the
--              whole group is gone nobody else can own it, so a finished entry is deleted all the same
-- include: clock, gate, lanes, index

local streams, worker, channel = tonumber(ARGV[1]), ARGV[3], ARGV[4]
group = ARGV[2]
local record_life = ARGV[14]
local items = cjson.decode(ARGV[15])
local at_gate = streams * 6 + 1
local dead_letters, callbacks, messages = KEYS[at_gate + 3], KEYS[at_gate + 4], KEYS[at_gate + 5]
local wall = wall_ms()
local opened = false

-- The gate is opened by the first item that is not dead, or after a dead letter was written: its writes are not
-- refused at OOM and would let the dead letter through.
local function open_gate()
  if not opened then
    gate.open(at_gate, 5)
    opened = true
  end
end

-- What this worker holds of each stream, asked once; nil where the group is gone.
local held = {}
for i = 1, streams do
  local ok, rows = pcall(redis.call, 'XPENDING', key(i, STREAM), group, '-', '+', 10000, worker)
  if ok then
    held[i] = {}
    for _, row in ipairs(rows) do
      held[i][row[1]] = true
    end
  end
end

local function owned(item)
  local mine = held[item.stream]
  if not mine then
    return item.action ~= 'retry'
  end
  return mine[item.id]
end

local function close(item)
  open_gate()
  gate.ended(item.permit, item.token, item.how, item.passed)
end

-- The record, and who is told.
local function note(item)
  if item.fields then
    redis.call('HSET', KEYS[item.record], unpack(item.fields))
  end
  if item.ended then
    redis.call('PEXPIRE', KEYS[item.record], record_life)
    if item.listed then
      index(messages, unpack(item.listed))
    end
    if item.message then
      redis.call('ZADD', KEYS[item.sent], wall, item.message)
      redis.call('PEXPIRE', KEYS[item.sent], 3600000)
      redis.call('HSET', KEYS[item.sent + 1], 'command_id', item.ended)
      redis.call('PEXPIRE', KEYS[item.sent + 1], record_life)
    end
    if item.callback then
      redis.call('XADD', callbacks, '*', unpack(item.callback))
    end
    if channel ~= '' then
      redis.call('PUBLISH', channel, item.ended)
    end
  end
  return 'ok'
end

local function retry(item)
  local i = item.stream
  if not move(i, item.id, '~retry') then
    -- Somebody deleted it meanwhile: its chat goes on.
    remove_all(streams, i, { item.id }, { item.lane })
    close(item)
    return 'ok'
  end
  open_gate()
  redis.call('ZADD', key(i, RETRY), gate.now + item.after_ms, item.id)
  keep_turn(i, item.lane, item.id)
  if item.tries then
    redis.call('HSET', key(i, TRIES), item.id, item.tries)
  end
  close(item)
  return note(item)
end

local function dead(item)
  redis.call('XADD', dead_letters, '*', unpack(item.dead))
  remove_all(streams, item.stream, { item.id }, { item.lane })
  close(item)
  return note(item)
end

local replies = {}

local function guarded(n, step, item)
  local ok, reply = pcall(step, item)
  replies[n] = ok and reply or 'refused ' .. (type(reply) == 'table' and reply.err or tostring(reply))
end

-- Done comes first, all of a stream in few calls.
local ids, lanes = {}, {}
for i = 1, streams do
  ids[i], lanes[i] = {}, {}
end
for n, item in ipairs(items) do
  if not owned(item) then
    close(item)
    replies[n] = 'lost'
  elseif item.action == 'done' then
    local list = ids[item.stream]
    list[#list + 1] = item.id
    lanes[item.stream][#list] = item.lane
  end
end
for i = 1, streams do
  if #ids[i] > 0 then
    remove_all(streams, i, ids[i], lanes[i])
  end
end
for n, item in ipairs(items) do
  if not replies[n] then
    if item.action == 'done' then
      close(item)
      guarded(n, note, item)
    else
      guarded(n, item.action == 'retry' and retry or dead, item)
    end
  end
end
if opened then
  gate.free()
end
local left = 0
for i = 1, streams do
  left = left >= 0 and held[i] and left + redis.call('XLEN', key(i, STREAM)) or -1
end
return { replies, left }
