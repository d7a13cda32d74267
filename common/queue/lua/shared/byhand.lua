-- How scripts begin and end that end a command by hand. Shared part: expects `group` and the lanes before it; KEYS are
-- per stream: stream, lanes, waiting, ready, retry, tries; then the status record, the stream for callbacks; ARGV begins
-- with: number of streams, group, stream number, entry id, command id, channel of ends, record's life ms.

local byhand = {}

-- The entry and who has it; or nil and why it must be left alone.
function byhand.find()
  local i, id = tonumber(ARGV[3]), ARGV[4]
  group = ARGV[2]
  local row = redis.call('XRANGE', key(i, STREAM), id, id)[1]
  if not row then
    return nil, 'ended'
  end
  local who = owner(i, id)
  if who and string.sub(who, 1, 1) ~= '~' then
    return nil, 'sending'
  end
  return row, who
end

-- Note the end and tell of it. From `at` on ARGV holds the number of record fields, these, and the callback's fields.
function byhand.close(at)
  local record, callbacks = KEYS[tonumber(ARGV[1]) * 6 + 1], KEYS[tonumber(ARGV[1]) * 6 + 2]
  local last = at + tonumber(ARGV[at])
  redis.call('HSET', record, unpack(ARGV, at + 1, last))
  redis.call('PEXPIRE', record, ARGV[7])
  if #ARGV > last then
    redis.call('XADD', callbacks, '*', unpack(ARGV, last + 1))
  end
  redis.call('PUBLISH', ARGV[6], ARGV[5])
end
