-- Writes and publishes, as the other scripts do. KEYS[1] is a key that expires, ARGV
-- its time to live in milliseconds and the replica's channel.
redis.call('SET', KEYS[1], '', 'PX', ARGV[1])
redis.call('PUBLISH', ARGV[2], 'probe')
return {'works'}
