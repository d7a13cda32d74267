-- The index of messages (`K:messages`): a small entry for each message that enters a queue, newest last, so that a search
-- has an order to go by. Shared part: expects `wall_ms`, and of a script that it lists in one account's index alone.

-- As long as records live. What waits for longer than that is still found by its id.
local INDEXED_MS = 72 * 3600 * 1000

local is_trimmed = false
local function index(messages, side, id, chat)
  redis.call('XADD', messages, '*', 'side', side, 'id', id, 'chat', chat)
  if not is_trimmed then
    is_trimmed = true
    redis.call('XTRIM', messages, 'MINID', '~', string.format('%.0f', wall_ms() - INDEXED_MS))
  end
end
