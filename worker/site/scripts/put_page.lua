-- Keep a rendered page, unless it was cleared while it was being rendered.
-- KEYS[1]  <root>page:<path>     hash    the page: body, type, tags (its cache tags, space separated)
-- KEYS[2]  <root>cleared:any     string  time (µs) of the last clearing that went by path
-- then, for each cache tag of the page, two keys:
--          <root>cleared:<tag>   string  time (µs) at which the pages under this tag were last cleared
--          <root>tag:<tag>       set     paths of the pages kept under this tag
-- ARGV     time (µs) at which rendering began · ms to keep the page · path · body · type · tags
-- Answer   1 kept, 0 not kept.
local began, keep_ms, path = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local marks = {redis.call('GET', KEYS[2])}
for i = 3, #KEYS, 2 do
  table.insert(marks, redis.call('GET', KEYS[i]))
end
for _, mark in ipairs(marks) do
  if mark and tonumber(mark) >= began then return 0 end
end

redis.call('DEL', KEYS[1])
redis.call('HSET', KEYS[1], 'body', ARGV[4], 'type', ARGV[5], 'tags', ARGV[6])
redis.call('PEXPIRE', KEYS[1], keep_ms)
for i = 4, #KEYS, 2 do
  redis.call('SADD', KEYS[i], path)
  -- A tag's set ends with the last of its pages, never before.
  if redis.call('PTTL', KEYS[i]) < keep_ms then redis.call('PEXPIRE', KEYS[i], keep_ms) end
end
return 1
