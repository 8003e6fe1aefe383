-- The end of a script: what it made is written down, what it queued is sent. A row has its message as the broker's list
-- holds it, with a place for the stamp in it. Where the queue is no plain list, only kombu can send it: upkeep rings
-- those (ring.lua).
--
-- Keys:
--   run:<id>        hash    its list and message
--   row.list        list    its message is put there
-- Uses: NOW, RING, MADE, int, get, write_down, finish, trim
-- Provides: place, rung

-- Where the stamp stands in the message of a run; nil where no script can send it.
local function place(id)
  if get(id, 'by_kombu') == '1' then return nil end
  local _, last = string.find(get(id, 'message'), '"anp_rung": 0', 1, true)
  return last
end

-- Put a message on the broker's list, with the time as its stamp. A task that is not guarded is done with it.
local function send(id, last)
  local message = get(id, 'message')
  redis.call('LPUSH', get(id, 'list'), string.sub(message, 1, last - 1) .. int(NOW) .. string.sub(message, last + 1))
  if get(id, 'unguarded') == '1' then finish(id, 'sent', 'its message is with the broker') end
end

-- The last words of a script: how many messages it has sent.
local function rung(asked)
  local sent = 0
  for id in pairs(MADE) do write_down(id) end
  for _, id in ipairs(RING) do
    local last = get(id, 'at') == 'queue' and place(id)
    if last then
      send(id, last)
      sent = sent + 1
    end
  end
  trim(asked)
  return sent
end
