// Package pgtest gives tests real PostgreSQL servers on several machines, and breaks them for real.
//
//	c := pgtest.NewCluster(t, pgtest.Config{Major: 17, Nodes: []string{"a", "b"}})
//	a, b := c.Node("a"), c.Node("b")
//	a.StartPrimary(t)
//	b.StartStandby(t, a)
//	a.CutFrom(t, b) // nothing that b sends reaches a any more
//
// A machine is a container on a network of its own cluster, made by testcontainers-go. It has a name that the others resolve,
// an address that stays the same over restarts and cuts, and a disk of limited size that survives them. It runs nothing but a
// process that waits and reaps, so that a server in it can die without the machine and be started again; use [Node.Host] for
// that, or the shortcuts [Node.StartPrimary] and [Node.StartStandby].
//
// # Faults
//
//   - the machine: Kill (power loss), Shutdown, Start, Pause, Unpause
//   - the server: KillPostgres (SIGKILL to the postmaster and everything below it)
//   - the network: Disconnect and Connect (the cable); CutFrom and CutTo (packets, one way); RefuseFrom (connections, one
//     way); SetLoss, SetLatency; Heal undoes all of them
//   - the disk: FillDisk, FreeDisk
//
// A cut belongs to the network: it is still there after the machine was restarted. Cuts and losses are nftables rules inside
// the container. Latency is tc-netem where the kernel has it; elsewhere the packets take a way around through a small program
// inside the container that holds them back (netdelay). Power loss does not lose what was written without fsync, because the
// disk is the memory of the machine that runs Docker.
//
// # What it needs
//
// The docker command, an engine, and one image per major: understudy-test-postgres:<major>, which scripts/setup builds, or
// what UNDERSTUDY_TEST_IMAGE_<major> names. An image needs the server's programs in /usr/lib/postgresql/<major>/bin, a user
// postgres, sh, the GNU core utilities, procps, iproute2, nftables and util-linux. If something is missing, tests skip with the
// reason; where the environment has a non-empty CI they fail instead.
//
// # Cleaning up
//
// Everything goes away with the test, paused and cut-off machines too. What a killed test process left behind is removed
// by the next one that starts a cluster, or by [RemoveLeftovers]: labels on containers, networks and volumes tell whose they
// are. A failed test gets the servers' and the containers' logs.
package pgtest
