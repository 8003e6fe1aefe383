-- Which schedules are live. A release seen for the first time raises the generation; an earlier one never comes back.
-- Schedules that were just read replace others of the same release. Those of another app are never replaced.
--
-- Keys:
--   generation      hash    which are live, and of which app: compared, replaced
--   live            hash    whether that app has any
--   releases        zset    which releases were seen
--   retired         hash    since when a beat that is not live asks
-- Arguments: digest ('' to ask only whether another app's are live), release ('' in development), 1 when they were just
--   read and 0 when this asks, the app ('' is not compared)
-- Answer: { 'current', 'taken', 'retired' or 'foreign', number, digest, release, app, how many schedules it has }

local LEFT_OVER = 60000      -- ms
local SOON = 60000           -- ms within which who became live writes what it has
local digest, release, fresh, app = ARGV[1], ARGV[2], ARGV[3] == '1', ARGV[4]
local live = redis.call('HMGET', P .. 'generation', 'number', 'digest', 'release', 'app', 'at')
local count = redis.call('HLEN', P .. 'live')
local function answer(word) return { word, live[1] or '0', live[2] or '', live[3] or '', live[4] or '', count } end
if app ~= '' and live[4] and live[4] ~= app then
  if count > 0 or NOW - (tonumber(live[5]) or 0) < SOON then
    if redis.call('HSETNX', P .. 'retired', 'app|' .. app, 'told') == 1 then
      alert('two_apps', { text = 'the app ' .. app .. ' shares the ledger of the app ' .. live[4]
        .. ' and was refused: it needs a prefix of its own (ANP_PREFIX)' })
    end
    return answer('foreign')
  end
  live = { live[1] }                                 -- that app has nothing here any more
end
if digest == '' then return answer('current') end
-- One that is being replaced goes within seconds; one that still asks after a minute was left over.
local function retired()
  local ours = digest .. '|' .. release
  redis.call('HSETNX', P .. 'retired', ours, int(NOW))
  local first = tonumber(redis.call('HGET', P .. 'retired', ours))
  if first and NOW - first >= LEFT_OVER then
    redis.call('HSET', P .. 'retired', ours, 'told')
    local of = release ~= '' and ' of release ' .. release or ''
    local text = 'a beat' .. of .. ' still runs and plans nothing: its schedules are no longer live; end it'
    alert('retired', { text = text })
  end
  return answer('retired')
end
local new_release = release ~= '' and not redis.call('ZSCORE', P .. 'releases', release)
if live[2] and not new_release then
  if live[2] == digest then
    if app ~= '' then redis.call('HSET', P .. 'generation', 'app', app) end
    return answer('current')
  end
  if not fresh or (release ~= '' and release ~= live[3]) then return retired() end
end
redis.call('UNLINK', P .. 'retired')
live = { int((tonumber(live[1]) or 0) + 1), digest, release, app }
redis.call('HSET', P .. 'generation', 'number', live[1], 'digest', digest, 'release', release, 'at', NOW, 'app', app)
if release ~= '' then
  redis.call('ZADD', P .. 'releases', live[1], release)
  redis.call('ZREMRANGEBYRANK', P .. 'releases', 0, -1001)
end
return answer('taken')
