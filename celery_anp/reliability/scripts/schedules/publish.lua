-- What is live, as it is declared.
--
-- Keys:
--   generation      hash    whether these schedules are live
--   live            hash    how each is declared
--   cursors         hash    dropped for a schedule that is gone
--   backfills       hash    dropped for a schedule that is gone
--   expected        hash    dropped for a schedule that is gone
--   late            hash    dropped for a schedule that is gone
--   failing         hash    dropped for a schedule that is gone
--   watch           zset    dropped for a schedule that is gone
--   removed         zset    it joins; from then on its overrides and history are kept for a while (prune.lua)
-- Arguments: digest, by whom, then name, JSON, words in triples: an empty JSON is a schedule that is gone; words go
--   into its history
-- Answer: 1, or 0 where others are live

if redis.call('HGET', P .. 'generation', 'digest') ~= ARGV[1] then return 0 end
for i = 3, #ARGV, 3 do
  local name, says, words = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  if says ~= '' then
    redis.call('HSET', P .. 'live', name, says)
    redis.call('ZREM', P .. 'removed', name)
  else
    for _, hash in ipairs({ 'live', 'cursors', 'backfills', 'expected', 'late', 'failing' }) do
      redis.call('HDEL', P .. hash, name)
    end
    redis.call('ZREM', P .. 'watch', name)
    redis.call('ZADD', P .. 'removed', NOW, name)
  end
  if words ~= '' then
    remember(name, { at = NOW, what = says ~= '' and 'changed' or 'removed', by = ARGV[2], note = words })
  end
end
return 1
