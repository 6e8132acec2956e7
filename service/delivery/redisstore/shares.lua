-- What the replicas share of one upstream's limits, changed in one step.
--
-- KEYS[1] is a hash of limit, what all may have on the way together, shrunk, when
-- it was last halved, and of each replica: until when its part is its own, the
-- part, and how much it wants, by the names u:ID, p:ID and w:ID. Times are in
-- milliseconds of this server's clock.
local key, op, self, lease = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local clock = redis.call('TIME')
local now = tonumber(clock[1]) * 1000 + math.floor(tonumber(clock[2]) / 1000)
local state, members, ids = {}, {}, {}

local function read()
  local flat = redis.call('HGETALL', key)
  for i = 1, #flat, 2 do state[flat[i]] = tonumber(flat[i + 1]) end
  for name, expires in pairs(state) do
    local id = string.match(name, '^u:(.+)$')
    if id and expires > now then
      members[id] = {part = state['p:' .. id], wants = state['w:' .. id]}
      ids[#ids + 1] = id
    elseif id then
      redis.call('HDEL', key, 'u:' .. id, 'p:' .. id, 'w:' .. id)
    end
  end
end

local function tell(id)
  if id ~= self then redis.call('PUBLISH', 'conferenced:replica:' .. id, 'share ' .. key) end
end

-- adapt moves the limit of all: a 429 halves it, unless its attempt began before
-- it was last halved; answers let it grow by one for each round of them.
local function adapt(most, least, successes, age)
  local limit = math.min(most, state.limit or most)
  local halved = false
  if age >= 0 then
    if now - age > (state.shrunk or 0) then
      limit, halved = math.max(least, limit / 2), true
      redis.call('HSET', key, 'shrunk', now)
    end
  elseif successes > 0 then
    limit = math.min(most, limit + successes / limit)
  end
  redis.call('HSET', key, 'limit', tostring(limit))
  return limit, halved
end

-- divide gives everybody what he wants if there is enough, and otherwise the same
-- to all who want more than that. What is left over is for all alike, and for the
-- next to come. It returns what is given to all together.
local function divide(limit)
  table.sort(ids, function(a, b)
    if members[a].wants ~= members[b].wants then return members[a].wants < members[b].wants end
    return a < b
  end)
  local left = limit
  for i, id in ipairs(ids) do
    local fair = math.floor(left / (#ids - i + 1))
    members[id].due = math.min(members[id].wants, fair)
    left = left - members[id].due
  end
  local spare, all = math.floor(left / (#ids + 1)), 0
  for _, id in ipairs(ids) do
    members[id].due = members[id].due + spare
    all = all + members[id].due
  end
  return all
end

local ops = {}

-- ask: the most and the least of the limit, how many the replica may have on the
-- way already, how many it wants, successes, and the age of a 429, or -1. The
-- answer is the part, what is due, what is due to all together, and whether the
-- part is less than is wanted and due. What is taken from a replica is not another's before it asks again, which
-- says that it knows of it.
function ops.ask(most, least, held, wanted, successes, age)
  local me = members[self]
  local new = not me
  if new then
    me = {part = 0}
    members[self] = me
    ids[#ids + 1] = self
  end
  me.wants = wanted
  local limit, halved = adapt(most, least, successes, age)
  limit = math.floor(limit)
  local all = divide(limit)
  local others = 0
  for _, id in ipairs(ids) do
    if id ~= self then others = others + members[id].part end
  end
  local part = math.max(0, math.min(me.due, limit - others))
  redis.call('HSET', key, 'u:' .. self, now + lease, 'p:' .. self, math.max(part, held), 'w:' .. self, wanted)
  redis.call('PEXPIRE', key, lease * 4)
  for _, id in ipairs(ids) do
    if new or halved or part < me.due and members[id].part > members[id].due then tell(id) end
  end
  return {tostring(part), tostring(me.due), tostring(all), part < me.due and part < wanted and '1' or '0'}
end

-- quit gives the part back.
function ops.quit()
  redis.call('HDEL', key, 'u:' .. self, 'p:' .. self, 'w:' .. self)
  return {'quit'}
end

read()
local numbers = {}
for i = 4, #ARGV do numbers[#numbers + 1] = tonumber(ARGV[i]) end
return ops[op](unpack(numbers))
