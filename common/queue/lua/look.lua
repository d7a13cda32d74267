-- Look at an account's queues and gates.
--
-- KEYS         the work streams commands, bulk, events; dead letters of commands and of events; the gate before Avito: hash,
--              tokens, slots; the gate before n8n likewise
-- ARGV         the group of each work stream
-- Reply        {per work stream {entries, and of new, in flight, retrying, behind: number, age of the oldest ms}, dead
--              letters of commands, of events, usage of the gate before Avito, before n8n (see usage.lua)}
-- Safe at OOM: passes (it writes nothing)
-- Owner-checked: not needed, it changes nothing
-- include: clock, usage

local wall = wall_ms()

local function age(id)
  return id and math.max(0, wall - tonumber(string.match(id, '^%d+'))) or 0
end

-- The id behind which a group has looked at nothing yet.
local function looked_up_to(stream, group)
  for _, info in ipairs(redis.call('XINFO', 'GROUPS', stream)) do
    local told = {}
    for f = 1, #info, 2 do
      told[info[f]] = info[f + 1]
    end
    if told.name == group then
      return told['last-delivered-id']
    end
  end
end

local function oldest_new(stream, group)
  local behind = looked_up_to(stream, group)
  local row = redis.call('XRANGE', stream, behind and '(' .. behind or '-', '+', 'COUNT', 1)[1]
  return row and row[1]
end

local function queue(stream, group)
  local total = redis.call('XLEN', stream)
  local found = { total, 0, 0, 0, 0, 0, 0, 0, 0 }
  if total == 0 then
    return found
  end
  local pending = 0
  -- Without its group all is new.
  for _, row in ipairs(redis.pcall('XPENDING', stream, group)[4] or {}) do
    local name, count = row[1], tonumber(row[2])
    local at = name == '~retry' and 6 or name == '~lane' and 8 or 4
    local first = redis.call('XPENDING', stream, group, '-', '+', 1, name)[1]
    found[at] = found[at] + count
    found[at + 1] = math.max(found[at + 1], age(first and first[1]))
    pending = pending + count
  end
  if total > pending then
    found[2], found[3] = total - pending, age(oldest_new(stream, group))
  end
  return found
end

return {
  queue(KEYS[1], ARGV[1]),
  queue(KEYS[2], ARGV[2]),
  queue(KEYS[3], ARGV[3]),
  redis.call('XLEN', KEYS[4]),
  redis.call('XLEN', KEYS[5]),
  usage(KEYS[6], KEYS[7], KEYS[8], wall),
  usage(KEYS[9], KEYS[10], KEYS[11], wall),
}
