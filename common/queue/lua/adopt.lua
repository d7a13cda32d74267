-- Put back what dead workers left behind, and what the caller holds without knowing it.
--
-- KEYS         per stream: stream, lanes, waiting, ready, retry, tries; then the gate: hash, tokens, slots
-- ARGV         number of streams, group, caller, life of a name ms, idle ms after which an empty consumer goes, most
--              entries, the gate's nine, number of living names, names.., the caller's own entries (stream number,
--              colon, id)..
-- Reply        {entries adopted, consumers deleted}
-- Safe at OOM: passes (its first write is a ZREMRANGEBYSCORE)
-- Owner-checked: only consumers that are neither `~...` nor alive, and idle for a name's life: a worker born after the
--              names were read is not dead (R29). A consumer is deleted only with nothing pending (R30)
-- include: clock, gate, lanes

local streams, caller, life, gone = tonumber(ARGV[1]), ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
group = ARGV[2]
local most, names = tonumber(ARGV[6]), tonumber(ARGV[16])
local alive, mine = {}, {}
for n = 17, 16 + names do
  alive[ARGV[n]] = true
end
for n = 17 + names, #ARGV do
  mine[ARGV[n]] = true
end
local adopted, deleted = 0, 0
gate.open(streams * 6 + 1, 7)

-- The permits under which an entry may be out, by its id, and when they were given, by the gate's clock; of two streams'
-- entries with one id nobody can tell.
local permits
local function permits_of(id)
  if not permits then
    permits = {}
    local rows = redis.call('ZRANGE', gate.slots, 0, -1, 'WITHSCORES')
    for n = 1, #rows, 2 do
      local entry = string.match(rows[n], '^(%d+%-%d+)/')
      if entry then
        permits[entry] = permits[entry] or { since = math.huge }
        table.insert(permits[entry], rows[n])
        permits[entry].since = math.min(permits[entry].since, tonumber(rows[n + 1]) - gate.limits.hold)
      end
    end
  end
  return permits[id] or { since = math.huge }
end

-- `idle` is how long it has been out by the server's clock: too little where that stepped back. Its slot knows better.
local function adopt(i, id, idle)
  if not move(i, id, '~retry') then
    return
  end
  redis.call('ZADD', key(i, RETRY), gate.now, id)
  keep_turn(i, lane_of(redis.call('XRANGE', key(i, STREAM), id, id)[1][2]), id)
  local known = redis.call('HGET', key(i, TRIES), id)
  local ok, tries = pcall(cjson.decode, known or '{}')
  tries = ok and type(tries) == 'table' and tries or {}
  tries.crashes = (tonumber(tries.crashes) or 0) + 1
  tries.outcome_unknown, tries.redriven = true, nil
  if not tonumber(tries.unknown_since_ms) then
    local out = math.ceil(math.max(idle, gate.now - permits_of(id).since))
    tries.unknown_since_ms, tries.gate_since_ms = gate.wall - out, math.floor(gate.now - out)
  end
  redis.call('HSET', key(i, TRIES), id, cjson.encode(tries))
  adopted = adopted + 1
end

for i = 1, streams do
  for _, info in ipairs(redis.call('XINFO', 'CONSUMERS', key(i, STREAM), group)) do
    local consumer = {}
    for f = 1, #info, 2 do
      consumer[info[f]] = info[f + 1]
    end
    local name = consumer.name
    if string.sub(name, 1, 1) ~= '~' and consumer.pending > 0 and adopted < most then
      if name == caller then
        for _, row in ipairs(redis.call('XPENDING', key(i, STREAM), group, '-', '+', 1000, name)) do
          if not mine[i .. ':' .. row[1]] then
            adopt(i, row[1], row[3])
          end
        end
      elseif not alive[name] and consumer.idle >= life then
        for _, row in ipairs(redis.call('XPENDING', key(i, STREAM), group, '-', '+', most - adopted, name)) do
          adopt(i, row[1], math.max(row[3], 2 * life))
          -- Its process is gone, and its connection with it. Its token goes on counting: it may have arrived.
          if #permits_of(row[1]) == 1 then
            gate.freed[#gate.freed + 1] = permits_of(row[1])[1]
          end
        end
      end
    elseif string.sub(name, 1, 1) ~= '~' and consumer.pending == 0 and not alive[name] and consumer.idle >= gone then
      redis.call('XGROUP', 'DELCONSUMER', key(i, STREAM), group, name)
      deleted = deleted + 1
    end
  end
end
gate.free()
return { adopted, deleted }
