-- Decide ticks: for each schedule compare its cursor, move it, and plan its rows, all or nothing per schedule.
--
-- Keys:
--   generation      hash    whether these schedules are live
--   cursors         hash    compared, moved
--   hands           hash    whether a hand holds a schedule
--   expected        hash    by when its next tick must have succeeded
--   late            hash    a schedule that promises nothing is not late
--   watch           zset    by when it must have succeeded
-- Arguments: digest of the schedules that the plans were worked out from ('' is not compared), then JSON { name,
--   seen, cursor, late, runs = [spec, …] } with `seen` the cursor a plan was worked out from ('' for none), and
--   `late` the time (ms) by which the next tick must have succeeded: 0 if nothing is promised, nil if what was
--   promised stays
-- Answer: { 'ok', for each schedule { name, 'decided' or 'moved', cursor, { plan.lua's answers } } };
--   { 'retired' } when other schedules are live, { 'lost' } when Redis knows of none

if no_room(bytes_from(2)) then return redis.error_reply('LEDGERFULL') end
if ARGV[1] ~= '' then
  local live = redis.call('HGET', P .. 'generation', 'digest')
  if live ~= ARGV[1] then return { live and 'retired' or 'lost' } end
end
local decisions, names, answers = {}, {}, {}
for i = 2, #ARGV do
  decisions[i - 1] = cjson.decode(ARGV[i])
  names[i - 1] = decisions[i - 1].name
end
local cursors = #names > 0 and redis.call('HMGET', P .. 'cursors', unpack(names))
local hands = #names > 0 and redis.call('HMGET', P .. 'hands', unpack(names))
local expected = #names > 0 and redis.call('HMGET', P .. 'expected', unpack(names))

-- By when a schedule must have succeeded: for the first tick that no success has followed, or for the next one.
local function promise(name, late)
  if late > 0 then return redis.call('HSET', P .. 'expected', name, int(late)) end
  redis.call('HDEL', P .. 'expected', name)
  redis.call('HDEL', P .. 'late', name)
  redis.call('ZREM', P .. 'watch', name)
end

-- `stale`: what an undecided tick had promised; it gives way to what holds now. A tick that was decided keeps its word.
local function watch(name, by, stale)
  if redis.call('HEXISTS', P .. 'late', name) == 1 then return end
  if stale and redis.call('ZSCORE', P .. 'watch', name) == stale then redis.call('ZREM', P .. 'watch', name) end
  redis.call('ZADD', P .. 'watch', 'NX', int(by), name)
end

for i, decision in ipairs(decisions) do
  local cursor = cursors[i] or ''
  if cursor ~= decision.seen then
    answers[i] = { decision.name, 'moved', cursor, {} }
  else
    redis.call('HSET', P .. 'cursors', decision.name, decision.cursor)
    local late = tonumber(decision.late)
    if late and (late > 0 or expected[i]) then promise(decision.name, late) end
    local plans, ran, skipped = {}, nil, nil
    for j, spec in ipairs(decision.runs) do
      local why = hands[i] and not spec.ends and held(hands[i], tonumber(spec.row.tick))
      if why then spec.ends, spec.reason, skipped = 'skipped', why, true end
      if not spec.ends then ran = ran or tonumber(spec.row.late) end
      plans[j] = plan(spec)
    end
    if late and late > 0 then
      if skipped then redis.call('ZREM', P .. 'watch', decision.name) end
      watch(decision.name, not skipped and ran or late, #decision.runs <= 1 and expected[i])
    end
    answers[i] = { decision.name, 'decided', decision.cursor, plans }
  end
end
rung()
return { 'ok', answers }
