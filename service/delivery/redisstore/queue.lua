-- The queues of one conference's participants, changed by one script. queue.go of
-- package delivery has the same rule for one process.
--
-- KEYS[1]             born: an id that is another one after all data was lost
-- KEYS[1]:queue:NAME  the queue of a participant, as JSON. NAME is its Call SID, or
--                     its label while its Call SID is not known.
-- KEYS[1]:label:LABEL the Call SID that a label stands for
-- KEYS[1]:call:SID    the label of a Call SID
--
-- A queue has e, its entries in order of arrival; x, the entries that were taken out,
-- until their replica has noticed; and w, the id of the entry that is owed: it must be
-- sent before any newer one.
--
-- An entry has
--   i  its id
--   n  the participant's name as its caller wrote it
--   s  the properties that it sets
--   h  whether no newer update undoes it
--   v  whether it removes the participant
--   c  its caller
--   a  the time of its arrival
--   d  the end of its lease in milliseconds of this server's clock
--   o  its state
--   k  the number of its attempts
--   m  the id of the older entry that it was chosen instead of
--   p  whether it was chosen by the script of another replica
--   r  why it was taken out
local call = redis.call
local base, op, lease, self = KEYS[1], ARGV[1], ARGV[2], ARGV[3]

-- In flight means that the update may have been sent.
local WAITING, LEADING, PAUSED, IN_FLIGHT = 'wait', 'turn', 'paused', 'begun'
local REMOVED = 'removed' -- Why an entry was taken out.

-- Most updates are alone in their queue from the beginning to the end. For them, this and
-- the next block do what ops.finish and ops.join do for all, with a fraction of the work.
--
-- finish has what join has stored, if an answer shows the names of the participant. The
-- queue is removed if nothing has changed, and the names neither, nor half of their age
-- has passed.
if op == 'finish' and ARGV[12] ~= '' then
  local sid, label, age, stored = ARGV[8], ARGV[9], ARGV[11], ARGV[12]
  local queue = base .. ':queue:' .. sid
  if call('GET', queue) == stored and (call('GET', base .. ':call:' .. sid) or '') == label
    and (label == '' or call('PTTL', base .. ':label:' .. label) > age / 2) then
    call('DEL', queue)
    return {PAUSED}
  end
end

local clock = call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local keep = lease * 4 -- Longer than any lease in a queue.
local arrival = clock[1] .. string.sub('00000' .. clock[2], -6)

local function queue_key(name) return base .. ':queue:' .. name end
local function label_key(label) return base .. ':label:' .. label end
local function call_key(sid) return base .. ':call:' .. sid end

-- resolve returns the name of the queue. A label does not look like a Call SID. It is not
-- forgotten while it is in use.
local function resolve(name)
  if #name == 34 and string.find(name, '^CA%x+$') then return name end
  local sid = call('GET', label_key(name))
  if not sid then return name end
  if call('PTTL', label_key(name)) < keep then
    call('PEXPIRE', label_key(name), keep)
    call('PEXPIRE', call_key(sid), keep)
  end
  return sid
end

-- An entry that joins an empty queue begins its attempt with that. The other operations
-- keep born for long enough.
if op == 'join' and not ARGV[8] then
  local name, entry = ARGV[4], string.sub(ARGV[5], 1, -2) -- JSON without its last brace.
  local queue, born = queue_key(resolve(name)), call('GET', base)
  local stored = '{"e":[' .. entry .. ',"a":"' .. arrival .. '","d":' .. now + lease .. ',"k":1,"o":"begun"}],"x":[]}'
  if born and call('SET', queue, stored, 'NX', 'PX', keep) then
    return {IN_FLIGHT, born, arrival, stored}
  end
end

local queues = {} -- Those in use, by name.

local function replica(id) return string.match(id, '^%w+') end

-- notify tells an entry's replica. That of self learns it from the answer.
local function notify(entry, what)
  if entry.i ~= self then
    call('PUBLISH', 'conferenced:replica:' .. replica(entry.i), what .. ' ' .. entry.i)
  end
end

-- matches reports whether the test holds for any property, by whether the two sets
-- have it.
local function matches(one, other, test)
  while one > 0 or other > 0 do
    if test(one % 2 == 1, other % 2 == 1) then return true end
    one, other = math.floor(one / 2), math.floor(other / 2)
  end
  return false
end

local function only_second(first, second) return second and not first end
local function both(first, second) return first and second end

local function covers(newer, older)
  return not older.h and not newer.v and not matches(newer.s, older.s, only_second)
end

local function index_of(list, id)
  for i, entry in ipairs(list) do
    if entry.i == id then return i end
  end
end

local function remove(queue, entry)
  table.remove(queue.e, index_of(queue.e, entry.i))
  if queue.w == entry.i then queue.w = nil end
end

-- take_out removes an entry for the reason.
local function take_out(queue, entry, reason)
  remove(queue, entry)
  entry.r = reason
  queue.x[#queue.x + 1] = entry
  notify(entry, reason)
end

local function busy(queue)
  for _, entry in ipairs(queue.e) do
    if entry.o == LEADING or entry.o == IN_FLIGHT then return true end
  end
  return false
end

local function covers_between(queue, newest)
  local newer = queue.e[newest]
  for i = 2, newest - 1 do
    local between = queue.e[i]
    local shares = between.v or matches(newer.s, between.s, both)
    if shares and not covers(newer, between) then return false end
  end
  return true
end

-- newest_covering returns the newest entry that can be sent instead of the head.
local function newest_covering(queue)
  for i = #queue.e, 2, -1 do
    local newer = queue.e[i]
    if newer.o ~= PAUSED and covers(newer, queue.e[1]) and covers_between(queue, i) then return newer end
  end
end

-- elect makes an entry the leader if one can be sent, and none leads or is in flight.
local function elect(queue)
  if #queue.e == 0 or busy(queue) then return end
  local leader = queue.e[1]
  if leader.o == PAUSED then leader = newest_covering(queue) end
  if leader then
    leader.o = LEADING
    notify(leader, LEADING)
  end
end

-- choose returns the entry to be sent now, or nil.
local function choose(queue)
  local owed = queue.w and queue.e[index_of(queue.e, queue.w)]
  if owed and owed.o ~= PAUSED then return owed end
  local newer, head = newest_covering(queue), queue.e[1]
  if newer or head.o ~= PAUSED then return newer or head end
end

-- mark notes that the entry was chosen.
local function mark(queue, chosen, state)
  if queue.w == chosen.i then
    queue.w = nil
  elseif chosen ~= queue.e[1] then
    chosen.m = queue.e[1].i
  end
  chosen.o = state
end

local function begin(queue, entry)
  mark(queue, entry, IN_FLIGHT)
  entry.p, entry.k, entry.d = nil, entry.k + 1, now + lease
end

-- start elects, and begins the attempt of the entry if it is the one to be sent. Its
-- replica need not ask again then, if it has a permit soon.
local function start(queue, entry)
  elect(queue)
  if entry.o == LEADING and choose(queue) == entry then begin(queue, entry) end
end

-- conclude ends an attempt, or the wait for one. What was or may have been applied
-- supersedes the older entries that it covers.
local function conclude(queue, entry, applied, again)
  local at = index_of(queue.e, entry.i)
  if applied then
    for i = at - 1, 1, -1 do
      local older = queue.e[i]
      if older.o ~= IN_FLIGHT and covers(entry, older) then take_out(queue, older, 'superseded') end
    end
  elseif entry.m and index_of(queue.e, entry.m) then
    queue.w = entry.m
  end
  entry.o, entry.m, entry.p = PAUSED, nil, nil
  if not again then remove(queue, entry) end
end

local function ended_lease(list)
  for _, entry in ipairs(list) do
    if entry.d <= now then return entry end
  end
end

-- load returns the queue with that name, without the entries whose lease has ended.
local function load(name)
  if queues[name] then return queues[name] end
  local text = call('GET', queue_key(name))
  local queue = text and cjson.decode(text) or {e = {}, x = {}}
  queue.stored = text
  queues[name] = queue
  for entry in ended_lease, queue.e do conclude(queue, entry, entry.o == IN_FLIGHT, false) end
  for entry in ended_lease, queue.x do table.remove(queue.x, index_of(queue.x, entry.i)) end
  elect(queue)
  return queue
end

local function save(name, queue)
  if #queue.e + #queue.x > 0 then
    call('SET', queue_key(name), cjson.encode({e = queue.e, x = queue.x, w = queue.w}), 'PX', keep)
  elseif queue.stored then
    call('DEL', queue_key(name))
  end
end

-- find returns an entry, which may have been taken out, and its queue.
local function find(name, id)
  local queue = load(resolve(name))
  local at, out = index_of(queue.e, id), index_of(queue.x, id)
  return at and queue.e[at] or out and queue.x[out], queue
end

local function state(entry) return entry and (entry.r or entry.o) or 'gone' end

local function born() return call('GET', base) or '' end

-- unlink ends what is known of a label. The entries that have it get a queue of their
-- own.
local function unlink(label)
  local sid = call('GET', label_key(label))
  if not sid then return end
  call('DEL', label_key(label), call_key(sid))
  local shared, apart = load(sid), load(label)
  for _, list in ipairs({'e', 'x'}) do
    local stay = {}
    for _, entry in ipairs(shared[list]) do
      local to = entry.n == label and apart[list] or stay
      to[#to + 1] = entry
    end
    shared[list] = stay
  end
  if shared.w and not index_of(shared.e, shared.w) then shared.w = nil end
  elect(shared)
  elect(apart)
end

-- merge moves all entries to another queue, in order of arrival.
local function merge(into, from)
  for _, list in ipairs({'e', 'x'}) do
    for _, entry in ipairs(from[list]) do
      local at = #into[list]
      while at > 0 and into[list][at].a > entry.a do at = at - 1 end
      table.insert(into[list], at + 1, entry)
    end
    from[list] = {}
  end
  into.w, from.w = into.w or from.w, nil
  elect(into)
end

-- link makes the label and the Call SID names of one participant.
local function link(label, sid, age)
  local known = call('GET', label_key(label))
  if known and known ~= sid then unlink(label) end
  call('SET', label_key(label), sid, 'PX', age)
  call('SET', call_key(sid), label, 'PX', age)
  if known ~= sid and label ~= sid then merge(load(sid), load(label)) end
end

-- learn takes over what an attempt says about the names of the participant.
local function learn(name, sid, label, missing, age)
  if missing ~= '0' then
    unlink(call('GET', call_key(name)) or name)
  elseif sid ~= '' then
    local known = call('GET', call_key(sid))
    if known and known ~= label then unlink(known) end
    if label ~= '' then link(label, sid, age) end
  end
end

-- make_room takes out the newest entry of the caller with the most entries, if that is
-- more than this caller would have. It reports whether there is room.
local function make_room(queue, caller)
  local counts, newest = {[caller] = 1}, nil
  for _, entry in ipairs(queue.e) do counts[entry.c] = (counts[entry.c] or 0) + 1 end
  for _, entry in ipairs(queue.e) do
    if entry.o ~= IN_FLIGHT and (not newest or counts[entry.c] >= counts[newest.c]) then newest = entry end
  end
  if not newest or counts[newest.c] <= counts[caller] then return false end
  take_out(queue, newest, 'evicted')
  return true
end

local ops = {}

-- join answers with the entry's state, born, its arrival, and the queue if it is alone in
-- it. If alone is 1, the entry joins an empty queue only. If there is a label, the name is
-- the Call SID of the participant that has it now.
function ops.join(name, text, capacity, alone, label, age)
  local id = call('GET', base) or self
  call('SET', base, id, 'PX', keep * 2)
  if label then learn(name, name, label, '0', age) end
  local queue, entry = load(resolve(name)), cjson.decode(text)
  if #queue.e > 0 and alone == '1' then return {'busy'} end
  if #queue.e > tonumber(capacity) and not make_room(queue, entry.c) then return {'full'} end
  entry.k, entry.o, entry.a, entry.d = 0, WAITING, arrival, now + lease
  queue.e[#queue.e + 1] = entry
  start(queue, entry)
  return {state(entry), id, arrival, ''}
end

-- begin is called with a permit. The answer is begun, the id of the entry to be sent
-- with it, of the same replica, and the number of the attempt; or another state.
function ops.begin(name)
  local entry, queue = find(name, self)
  if not entry or entry.r then return {state(entry), born()} end
  local chosen = entry.p and entry
  entry.o, entry.p, entry.d = WAITING, nil, now + lease
  if not chosen then entry.m = nil end
  if not busy(queue) then
    chosen = chosen or choose(queue)
    if chosen and replica(chosen.i) == replica(self) then
      begin(queue, chosen)
      return {IN_FLIGHT, chosen.i, tostring(chosen.k)}
    elseif chosen then
      mark(queue, chosen, LEADING)
      chosen.p = true
      notify(chosen, LEADING)
    end
  end
  elect(queue)
  return {state(entry)}
end

-- finish ends an attempt, or for no attempt ('') the entry's wait, and takes over what
-- the attempt says about names. A late one of an earlier attempt does not end a later
-- attempt. If the participant was removed, the entries that wait for it are taken out.
function ops.finish(name, attempt, applied, again, sid, label, missing, age)
  if missing == REMOVED then
    local _, queue = find(name, self)
    for i = #queue.e, 1, -1 do
      local other = queue.e[i]
      if other.i ~= self and other.o ~= IN_FLIGHT then take_out(queue, other, REMOVED) end
    end
  end
  learn(name, sid, label, missing, age)
  local entry, queue = find(name, self)
  if entry and entry.r then
    if again == '0' then table.remove(queue.x, index_of(queue.x, self)) end
  elseif entry and (again == '0' or tonumber(attempt) == entry.k) then
    conclude(queue, entry, applied == '1', again == '1')
    elect(queue)
  end
  return {PAUSED}
end

-- resume makes an entry wait again. The answer is its state and the number of the
-- attempt that has begun with that, if one has.
function ops.resume(name)
  local entry, queue = find(name, self)
  if not entry or entry.r then return {state(entry), born()} end
  if entry.o == PAUSED then
    entry.o = WAITING
    start(queue, entry)
  end
  return {state(entry), tostring(entry.k)}
end

-- renew has a name and an id of each entry. The answer is born and their states.
function ops.renew(...)
  local states, of = {born()}, {...}
  call('PEXPIRE', base, keep * 2)
  for i = 1, #of, 2 do
    local entry = find(of[i], of[i + 1])
    if entry then entry.d = now + lease end
    states[#states + 1] = state(entry)
  end
  return states
end

local answer = ops[op](unpack(ARGV, 4))
for name, queue in pairs(queues) do save(name, queue) end
return answer
