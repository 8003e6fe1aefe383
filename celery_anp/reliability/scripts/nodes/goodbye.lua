-- A node leaves in order: its unfinished rows go back, without a loss.
--
-- Keys:
--   running:<node>  hash    its rows; dropped
-- Arguments: node, reason
-- Answer: how many messages it sent

local node = ARGV[1]
for _, id in ipairs(redis.call('HKEYS', P .. 'running:' .. node)) do lose(id, 'shutdown', ARGV[2], true) end
redis.call('UNLINK', P .. 'running:' .. node)
forget_node(node, '')
return rung()
