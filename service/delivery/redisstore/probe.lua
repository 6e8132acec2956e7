-- Does a little of all that the other scripts do: writes, and tells a replica.
-- KEYS[1] is a key that goes away by itself, ARGV the time until then and the
-- replica's channel.
redis.call('SET', KEYS[1], '', 'PX', ARGV[1])
redis.call('PUBLISH', ARGV[2], 'probe')
return {'works'}
