// Package clusterfile reads and writes files that say what a PostgreSQL cluster should be: a [topology.Cluster] as YAML.
//
//	c, err := clusterfile.Parse(name, data)
//	if err != nil {
//		return err // every fault, as file:line:column: path: what is wrong, and what to do
//	}
//
// [Render] writes such a file. [Schema] describes them to editors and other tools.
//
// # A file
//
// Everything that a file may say, but for what stands in the descriptions of the schema:
//
//	# yaml-language-server: $schema=https://raw.githubusercontent.com/understudy-ha/understudy/main/topology/clusterfile/schema.json
//	name: orders
//
//	# The servers. Their order counts where one of several is chosen. The one without upstream is the primary.
//	nodes:
//	  - id: alpha                          # also its application_name
//	    host: 10.0.1.11                    # how the others reach it; port: 5432 is the default
//	    site: north
//	    sync: true                         # a primary may wait for it, once it is a standby
//	    machine: ssh://postgres@10.0.1.11  # how commands and files get there; local is the default
//	    service: {manager: debian, cluster: 17/main}
//
//	  - id: beta
//	    host: 10.0.2.11
//	    site: south
//	    upstream: leader                   # follows the primary, wherever that is
//	    sync: true
//	    machine: ssh://postgres@10.0.2.11
//	    service: {manager: debian, cluster: 17/main}
//	    settings: {work_mem: 256MB}        # for this node alone
//
//	  - id: reports
//	    host: 10.0.2.12
//	    site: south
//	    upstream: beta                     # fixed: a cascade
//	    priority: -1                       # never promoted
//	    machine: ssh://postgres@10.0.2.12
//	    data_dir: /srv/pg/17
//	    service: {bin_dir: /usr/pgsql-17/bin}
//
//	  - id: yesterday
//	    host: 10.0.2.13
//	    site: south
//	    upstream: beta
//	    archive_only: true                 # restores from the archive and connects to nobody
//	    delay: 1d                          # replays a day late: time to notice a DROP TABLE
//	    priority: -1
//	    machine: ssh://postgres@10.0.2.13
//	    data_dir: /srv/pg/17
//	    service: {manager: systemd, unit: postgresql-17.service, bin_dir: /usr/pgsql-17/bin}
//
//	  - id: umpire
//	    host: 10.0.3.10
//	    witness: true                      # no data, only a vote
//	    site: east
//
//	# Commits wait for one of the standbys with sync: true; with strict: true they would wait even if none is there.
//	sync: any 1
//
//	# Passwords stand elsewhere: in a variable or a file of the machine where the tool runs.
//	replication:
//	  user: replicator
//	  secret: env:REPLICATOR_PASSWORD
//	  passfile: /var/lib/postgresql/.replication.pgpass
//	  conninfo: {sslmode: verify-full, sslrootcert: /etc/ssl/orders-ca.pem}
//	monitor: {name: observer, secret: file:/run/secrets/observer}
//	admin: {name: postgres, secret: env:POSTGRES_PASSWORD}
//
//	archive:
//	  url: s3://orders-wal/production
//	  timeout: 5min
//
//	slots: true
//	max_slot_keep: 50GB                    # a standby that is away longer has to be cloned
//	keep_wal: 1GB
//
//	clients:
//	  - {user: orders, database: orders, addresses: [10.0.1.0/24, 10.0.2.0/24]}
//
//	settings:
//	  max_connections: 200
//	  shared_buffers: 8GB
//
// # Values
//
// Times are a number with one of PostgreSQL's units ms, s, min, h and d; sizes one with kB, MB, GB or TB. Settings, tags and conninfo
// take texts, numbers, true and false as they stand, everything else wants the type that it has: a site called 1 is "1". A
// list of texts may be a single text. An account may be its name alone, an archive its URL, and a synchronous rule a text such as
// "any 2". JSON is taken as well.
//
// # Strict
//
// What cannot be meant is an error: unknown keys, keys that stand twice, keys without a value, more than one document,
// anchors, aliases, merges and tags. All faults are reported at once; what [topology.Cluster.Validate] refuses is reported at the line
// where it stands.
//
// # Secrets
//
// A file holds no password. One that stands under a key such as password, in a URL or as password=… is refused, and errors never
// repeat a value, or a key that is no plain word. A password under any other key cannot be told from other text.
package clusterfile
