-- Record something of a running attempt, for who holds its fence.
--
-- Keys:
--   run:<id>        hash    its holder; progress and bytes; `undone`
--   undo:<id>       list    an entry, or its outcome
--   steps:<id>      hash    a finished step
-- Arguments: id, node, fence, what, then for
--   'undo': limit of bytes, JSON: an undo entry, before its effect; no two of one text, that is a replay
--   'step': name, JSON: a finished step
--   'progress': done, total
--   'outcome': index, JSON, what became of it: an undo entry was handled
-- Answer: 'ok', 'full' (undo entries of this attempt beyond their limit), or 'lost'

local REPLAYED = 100         -- entries behind which a replay may come: other threads of the body wrote them
local id, node, fence, what = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if not holds(id, node, fence) then return 'lost' end
if what == 'undo' then
  if redis.call('LPOS', P .. 'undo:' .. id, ARGV[6], 'RANK', -1, 'MAXLEN', REPLAYED) then return 'ok' end
  local bytes = number(id, 'undo_bytes') + #ARGV[6]
  if bytes > tonumber(ARGV[5]) then return 'full' end
  set(id, 'undo_bytes', bytes)
  redis.call('RPUSH', P .. 'undo:' .. id, ARGV[6])
elseif what == 'step' then
  redis.call('HSET', P .. 'steps:' .. id, ARGV[5], ARGV[6])
elseif what == 'progress' then
  set(id, 'progress', ARGV[5] .. '/' .. ARGV[6])
elseif what == 'outcome' then
  redis.call('LSET', P .. 'undo:' .. id, ARGV[5], ARGV[6])
  if ARGV[7] == 'undone' then set(id, 'undone', '1') end
end
return 'ok'
