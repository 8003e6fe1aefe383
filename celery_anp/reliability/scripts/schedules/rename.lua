-- A schedule has a new name: all that is kept under the old one goes with it, once.
--
-- Keys:
--   cursors         hash    moved; whether that was done
--   hands           hash    moved
--   live            hash    moved
--   backfills       hash    moved
--   expected        hash    moved
--   late            hash    moved
--   failing         hash    moved
--   hands:<name>    list    moved
--   watch           zset    moved
-- Arguments: new name, old name
-- Answer: 1, or 0 when it was done, or there is nothing under the old one

local new, old = ARGV[1], ARGV[2]
if redis.call('HEXISTS', P .. 'cursors', new) == 1 or redis.call('HEXISTS', P .. 'cursors', old) == 0 then return 0 end
for _, hash in ipairs({ 'cursors', 'hands', 'live', 'backfills', 'expected', 'late', 'failing' }) do
  local held = redis.call('HGET', P .. hash, old)
  if held then redis.call('HSET', P .. hash, new, held) end
  redis.call('HDEL', P .. hash, old)
end
if redis.call('EXISTS', P .. 'hands:' .. old) == 1 then
  redis.call('RENAMENX', P .. 'hands:' .. old, P .. 'hands:' .. new)
end
local by = redis.call('ZSCORE', P .. 'watch', old)
if by then redis.call('ZADD', P .. 'watch', by, new) end
redis.call('ZREM', P .. 'watch', old)
remember(new, { at = NOW, what = 'renamed', by = 'files', note = 'it was ' .. old })
return 1
