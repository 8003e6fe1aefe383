-- An operator says that from now on another app owns the schedules: those that are live end, and its own may become so.
--
-- Keys:
--   generation      hash    which are live, and of which app
--   retired         hash    whom a beat was told of
-- Arguments: the app
-- Answer: the app that owned them

local before = redis.call('HGET', P .. 'generation', 'app')
if before == ARGV[1] then return before end
redis.call('HDEL', P .. 'generation', 'digest', 'release')
redis.call('HSET', P .. 'generation', 'app', ARGV[1], 'at', NOW)
redis.call('UNLINK', P .. 'retired')
return before or ''
