-- Give a worker the entries that may start now.
--
-- KEYS         per stream, in order of priority: stream, lanes, waiting, ready, retry, tries; then the gate: hash,
--              tokens, slots
-- ARGV         number of streams, group, worker, want, then the gate's nine
-- Reply        {why, ask again in ms (-1: nothing is due), streams worth watching, gate ms ('' = it was not asked), wall
--              ms, entries held,
--              {{stream number, id, fields, tries, verdict, permit}..}, {last generated id of each stream}, reason, mark}
--              why: full | more | empty | rate | slots | paused
-- Safe at OOM: passes (its first write is a ZREMRANGEBYSCORE, R15)
-- Owner-checked: indexes are followed only to entries that are pending where the index says (R19)
-- include: clock, gate, lanes

local HELD_MS = 1500
local SCANS, PEEK = 64, 4

local streams, group_name, worker, want = tonumber(ARGV[1]), ARGV[2], ARGV[3], tonumber(ARGV[4])
group = group_name

-- Nothing lies anywhere, and the gate is the one the caller knows: then nothing is to be done, at the cost of a look.
local mark = string.match(ARGV[11], ' (%S+)$')
local function idle()
  if redis.call('XLEN', key(1, STREAM)) > 0 then
    return nil
  end
  local last = {}
  for i = 1, streams do
    local there, info = pcall(redis.call, 'XINFO', 'STREAM', key(i, STREAM))
    local facts = {}
    for f = 1, there and #info or 0, 2 do
      facts[info[f]] = info[f + 1]
    end
    if facts.length ~= 0 or facts.groups == 0 then
      return nil
    end
    last[i] = facts['last-generated-id']
  end
  return redis.call('HGET', KEYS[streams * 6 + 1], 'born') == mark and last
end
local nothing_since = mark and idle()
if nothing_since then
  return { 'empty', -1, streams, '', 0, 0, {}, nothing_since, '', mark }
end

-- Raises NOGROUP before anything is given out: what a script that fails midway gave out, nobody knows of.
local summaries = {}
for i = 1, streams do
  summaries[i] = redis.call('XPENDING', key(i, STREAM), group)
end
gate.open(streams * 6 + 1, 5)
-- Lanes that somebody deleted must not let a second entry of a chat out.
for i = 1, streams do
  if summaries[i][1] > 0 and redis.call('EXISTS', key(i, LANES)) == 0 then
    restore_heads(i, summaries[i])
  end
end
local limits = gate.limits

local given = {}
-- How many more entries may be looked at that are not given out. While those of a chat with very many are put behind its
-- turn, all others wait for this script; what lies behind them is reached all the same, for the caller asks again at once
-- (`more`).
local scanned = 0
local function scans()
  return SCANS + #given - scanned
end
local one = gate.probe and 1 or math.huge

local function room()
  return math.min(want - #given, gate.free_slots, gate.free_tokens, one)
end

-- What this script has decided for a stream and not yet written: one call for many entries (flush).
local heads, new_heads, mine, behind, waiting = {}, {}, {}, {}, {}
for i = 1, streams do
  heads[i] = {}
end

local function head_of(i, lane)
  local head = heads[i][lane]
  if head == nil then
    head = redis.call('HGET', key(i, LANES), lane)
    heads[i][lane] = head
  end
  return head
end

local function heads_of(i, lanes)
  local unknown = {}
  for _, lane in ipairs(lanes) do
    if heads[i][lane] == nil then
      heads[i][lane] = false
      unknown[#unknown + 1] = lane
    end
  end
  if #unknown > 0 then
    for n, head in ipairs(redis.call('HMGET', key(i, LANES), unpack(unknown))) do
      heads[i][unknown[n]] = head
    end
  end
end

local function take_lane(i, lane, id)
  heads[i][lane] = id
  new_heads[#new_heads + 1] = lane
  new_heads[#new_heads + 1] = id
  has_lanes[i] = true
end

local function claim_all(i, consumer, ids)
  if #ids > 0 then
    ids[#ids + 1] = 'JUSTID'
    redis.call('XCLAIM', key(i, STREAM), group, consumer, 0, unpack(ids))
  end
end

local function flush(i)
  if #new_heads > 0 then
    redis.call('HSET', key(i, LANES), unpack(new_heads))
  end
  claim_all(i, worker, mine)
  claim_all(i, '~lane', behind)
  if #waiting > 0 then
    redis.call('ZADD', key(i, WAITING), unpack(waiting))
  end
  new_heads, mine, behind, waiting = {}, {}, {}, {}
end

-- Entries up to `suspects[i]` may have been out when the group was lost (ensure).
local has_tries, suspects = {}, {}
for i = 1, streams do
  has_tries[i] = redis.call('EXISTS', key(i, TRIES)) == 1
  local suspect = has_tries[i] and redis.call('HGET', key(i, TRIES), '*')
  suspects[i] = suspect and pad(suspect)
end

local function give(i, id, fields)
  local tries = has_tries[i] and redis.call('HGET', key(i, TRIES), id)
  local verdict, permit = 'run', ''
  for f = 1, #fields, 2 do
    if fields[f] == 'expires_at' and (tonumber(fields[f + 1]) or math.huge) <= gate.wall then
      verdict = 'expired'
    end
  end
  local suspect = suspects[i] and pad(id) <= suspects[i]
  if tries or suspect then
    local ok, parsed = pcall(cjson.decode, tries or '{}')
    if ok and type(parsed) == 'table' then
      if (tonumber(parsed.crashes) or 0) >= 3 then
        verdict = 'crashed'
      end
      if suspect then
        -- Its outcome is unknown since it may first have been out (R10), whatever is known of later attempts.
        local added = tonumber(string.match(id, '^%d+'))
        local since = math.min(added, gate.wall)
        local by_gate = math.floor(gate.at(since))
        parsed.outcome_unknown = true
        parsed.unknown_since_ms = math.min(tonumber(parsed.unknown_since_ms) or since, since)
        parsed.gate_since_ms = math.min(tonumber(parsed.gate_since_ms) or by_gate, by_gate)
        tries = cjson.encode(parsed)
      end
    end
  end
  if verdict == 'run' then
    permit = gate.take(id)
    one = one - 1
  end
  given[#given + 1] = { i, id, fields, tries or '', verdict, permit }
end

-- A new entry, or a scheduled one whose time has come: it takes its lane and goes, or waits behind it. `holder` has it
-- pending so far.
local function place(i, id, fields, lane, holder)
  local head = lane ~= '' and head_of(i, lane)
  local follows = head and head ~= id
  if follows then
    waiting[#waiting + 1] = '0'
    waiting[#waiting + 1] = lane .. SEPARATOR .. pad(id)
  elseif lane ~= '' and not head then
    take_lane(i, lane, id)
  end
  if follows or lane ~= '' and busy_elsewhere(streams, i, lane) then
    if holder ~= '~lane' then
      behind[#behind + 1] = id
    end
    return
  end
  if holder ~= worker then
    mine[#mine + 1] = id
  end
  give(i, id, fields)
end

local function claim(i, id)
  local row = redis.call('XCLAIM', key(i, STREAM), group, worker, 0, id)[1]
  return row and row[2]
end

-- What was out once goes by its retries alone. What a redrive has put back was not out since, whatever it remembers.
local function was_out(i, id)
  local tries = has_tries[i] and redis.call('HGET', key(i, TRIES), id)
  return tries and not string.find(tries, '"redriven":true', 1, true)
end

-- Whether it is scheduled for later: then it waits under `~retry`.
local function scheduled(i, id, fields)
  local due = not_before(fields)
  if not due or due <= gate.wall or was_out(i, id) then
    return false
  end
  move(i, id, '~retry')
  redis.call('ZADD', key(i, RETRY), gate.at(due), id)
  return true
end

local function due_retries(i, n)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', key(i, RETRY), '-inf', gate.now, 'LIMIT', 0, n)) do
    redis.call('ZREM', key(i, RETRY), id)
    scanned = scanned + 1
    local fields = owner(i, id) == '~retry' and claim(i, id)
    if fields and not scheduled(i, id, fields) then
      place(i, id, fields, lane_of(fields), worker)
    end
  end
end

local function turns(i, n)
  for _ = 1, n do
    local id = redis.call('LPOP', key(i, READY))
    if not id then
      return
    end
    scanned = scanned + 1
    local fields = owner(i, id) == '~lane' and claim(i, id)
    if fields then
      if head_of(i, lane_of(fields)) == id and not busy_elsewhere(streams, i, lane_of(fields)) then
        give(i, id, fields)
      else
        behind[#behind + 1] = id
      end
    end
  end
end

-- Behind a follower mostly come more, as in a chat with very many. Read for `~lane` at once they need no claim, which
-- costs as much as the reading. Where some lie there already, a few tell whether it is so now.
local peek, readers = {}, {}
for i = 1, streams do
  readers[i] = worker
  for _, consumer in ipairs(summaries[i][4] or {}) do
    peek[i] = peek[i] or consumer[1] == '~lane'
  end
end

local asked = false

-- Reads up to n new entries; says whether there were fewer.
local function fresh(i, n)
  local reader = readers[i]
  asked = asked or i == 1
  if peek[i] then
    n, peek[i] = math.min(n, PEEK), false
  elseif reader == '~lane' then
    n = math.min(n, math.max(1, scans()))
  end
  local reply = redis.call('XREADGROUP', 'GROUP', group, reader, 'COUNT', n, 'STREAMS', key(i, STREAM), '>')
  if not reply then
    return true
  end
  local rows = reply[1][2]
  local lanes = {}
  for r, row in ipairs(rows) do
    lanes[r] = lane_of(row[2])
  end
  heads_of(i, lanes)
  scanned = scanned + #rows
  local gone = #given
  for r, row in ipairs(rows) do
    if not scheduled(i, row[1], row[2]) then
      place(i, row[1], row[2], lanes[r], reader)
    end
  end
  readers[i] = #given - gone < #rows / 2 and '~lane' or worker
  return #rows < n
end

local spent = {}

-- Up to n entries of stream i; returns how many were given out.
local function from(i, n)
  local before = #given
  local function left()
    return math.min(n - (#given - before), room())
  end
  while not spent[i] and left() > 0 and scans() > 0 do
    local seen, most = scanned, left()
    due_retries(i, most)
    if left() > 0 then
      turns(i, left())
    end
    -- Where all of them together had less than was asked for, there is nothing more.
    spent[i] = left() > 0 and fresh(i, left()) and scanned - seen < most
  end
  flush(i)
  return #given - before
end

local function waits(i)
  if redis.call('LLEN', key(i, READY)) > 0 then
    return true
  end
  if #redis.call('ZRANGEBYSCORE', key(i, RETRY), '-inf', gate.now, 'LIMIT', 0, 1) > 0 then
    return true
  end
  local length = redis.call('XLEN', key(i, STREAM))
  if length == 0 or length > redis.call('XPENDING', key(i, STREAM), group)[1] then
    return length > 0
  end
  -- What is pending may have been deleted by hand, and one that nobody has looked at hide behind its number.
  for _, info in ipairs(redis.call('XINFO', 'GROUPS', key(i, STREAM))) do
    local about = {}
    for f = 1, #info, 2 do
      about[info[f]] = info[f + 1]
    end
    if about.name == group then
      return #redis.call('XRANGE', key(i, STREAM), '(' .. about['last-delivered-id'], '+', 'COUNT', 1) > 0
    end
  end
  return false
end

-- How many bulk entries the pace line and the reserve allow now.
local function bulk_allowance()
  if not limits.requests then
    return want
  end
  local line = math.max(gate.line, gate.now - gate.pace)
  local by_line = gate.now >= line and math.floor((gate.now - line) / gate.pace) + 1 or 0
  return math.min(want, gate.free_tokens - limits.reserve, by_line)
end

local why, ask_in, watch, paused = 'empty', -1, streams, gate.paused_for()
local bulk_waits = false
local reason = gate.reason
if redis.call('HEXISTS', gate.hash, 'held_since') == 1 then
  -- An operator's hold (hold.lua) has no end that could be told: who waits asks often enough to go on within 2 s of it.
  why, ask_in, watch, reason = 'paused', HELD_MS, 0, 'operator'
elseif paused then
  why, ask_in, watch = 'paused', math.ceil(paused), 0
elseif streams == 1 then
  from(1, want)
else
  bulk_waits = waits(2)
  while room() > 0 and scans() > 0 do
    local got = 0
    if bulk_waits and gate.streak >= 9 then
      -- One take in ten is bulk's, line and reserve notwithstanding (design section 4).
      gate.streak = 0
      got = from(2, 1)
      bulk_waits = got > 0
    end
    if got == 0 then
      got = from(1, bulk_waits and 9 - gate.streak or want)
      if bulk_waits then
        gate.streak = gate.streak + got
      end
    end
    if got == 0 and bulk_waits then
      local allowed = bulk_allowance()
      if allowed < 1 then
        why, watch = 'rate', 1
        ask_in = math.max(1, math.ceil(gate.line - gate.now))
        if gate.free_tokens <= limits.reserve then
          ask_in = math.max(ask_in, gate.token_back_in(limits.reserve + 1 - gate.free_tokens))
        end
        break
      end
      got = from(2, allowed)
      gate.streak = 0
    end
    if got == 0 then
      break
    end
  end
end

if why == 'empty' then
  if #given >= want then
    why, ask_in = 'full', 0
  elseif scans() <= 0 then
    why, ask_in = 'more', 0
  elseif one < 1 then
    why, ask_in, watch = 'paused', 500, 0
  elseif gate.free_slots <= 0 then
    why, ask_in, watch = 'slots', gate.slot_back_in(), 0
  elseif gate.free_tokens <= 0 then
    why, ask_in, watch = 'rate', gate.token_back_in(1), 0
  end
end

if streams > 1 then
  gate.reads = #given > 0 and 0 or gate.reads
  gate.claim(why == 'rate' and gate.free_tokens <= 0 and waits(1), why == 'rate' and bulk_waits, ask_in)
end

local last, held = {}, 0
for i = 1, streams do
  local length = redis.call('XLEN', key(i, STREAM))
  held = held + length
  if watch >= i and why ~= 'full' and why ~= 'more' then
    -- The next retry counts as work that becomes due; for streams that are not blocked by the gate only.
    local due = redis.call('ZRANGE', key(i, RETRY), 0, 0, 'WITHSCORES')[2]
    if due then
      local in_ms = math.max(1, math.ceil(tonumber(due) - gate.now))
      ask_in = ask_in < 0 and in_ms or math.min(ask_in, in_ms)
    end
    local there, info = pcall(redis.call, 'XINFO', 'STREAM', key(i, STREAM))
    if not there then
      return redis.error_reply('NOGROUP the stream ' .. key(i, STREAM) .. ' is gone')
    end
    for f = 1, #info, 2 do
      if info[f] == 'last-generated-id' then
        last[i] = info[f + 1]
      end
    end
  end
end
if not asked then
  -- Nothing was read, for the gate lets nothing through: that the worker asks shall be seen all the same (health). This
  -- reads from behind the end of its own history.
  redis.call('XREADGROUP', 'GROUP', group, worker, 'COUNT', 1, 'STREAMS', key(1, STREAM), '18446744073709551615-0')
end
gate.save()
return { why, ask_in, watch, string.format('%.3f', gate.now), gate.wall, held, given, last, reason, gate.born }
