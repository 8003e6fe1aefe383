-- The messages of these runs are out: a run of a task that is not guarded ends with it, and so does one that was
-- replaced by such a task.
--
-- Keys:
--   run:<id>        hash    whether its task is guarded, or it was replaced
-- Arguments: ids
-- Answer: how many ids

for _, id in ipairs(ARGV) do
  if (get(id, 'unguarded') == '1' and get(id, 'at') == 'queue') or get(id, 'replacement') ~= '' then
    finish(id, 'sent', 'its message is with the broker')
  end
end
rung(ARGV[1])
return #ARGV
