"""The dedup table on this machine: one RocksDB shard per partition, restored from its topic.

The topic is the truth and a shard is a copy of it that can be thrown away at any time. This room
opens, restores, keeps and closes shards. Modules are imported where they are used, since `shard`
needs rocksdict, which clients do not install.
"""
