-- Many acceptances in one call. Shared part: expects KEYS to hold `keys_each` keys for each item, and ARGV the number of an
-- item's arguments and then these, item by item. Each is for itself: one that fails replies {'error', its error}.
-- At OOM the first write of the call is refused, and so is every other: nothing is stored in part.

local function each_item(keys_each, accept)
  local replies, at = {}, 1
  for n = 1, #KEYS / keys_each do
    local keys, args = {}, {}
    for k = 1, keys_each do
      keys[k] = KEYS[(n - 1) * keys_each + k]
    end
    for a = 1, tonumber(ARGV[at]) do
      args[a] = ARGV[at + a]
    end
    at = at + 1 + #args
    local ok, reply = pcall(accept, keys, args)
    replies[n] = ok and reply or { 'error', type(reply) == 'table' and reply.err or tostring(reply) }
  end
  return replies
end
