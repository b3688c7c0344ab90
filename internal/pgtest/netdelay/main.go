//go:build linux

// Command netdelay holds packets back, for kernels without sch_netem. It creates a tun device, and sends every IPv4 packet
// that the kernel routes there on through another interface, in order, after a delay. The device goes away when it ends.
//
//	netdelay TUN INTERFACE DELAY
//
// Package pgtest runs it as root inside the containers of tests.
package main

import (
	"fmt"
	"log"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

func main() {
	log.SetFlags(0)
	log.SetPrefix("netdelay: ")
	if len(os.Args) != 4 {
		log.Fatal("usage: netdelay TUN INTERFACE DELAY")
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3]); err != nil {
		log.Fatal(err)
	}
}

func run(tunName, device, delayText string) error {
	delay, err := time.ParseDuration(delayText)
	if err != nil {
		return err
	}
	out, err := openRaw(device)
	if err != nil {
		return err
	}
	tun, err := openTun(tunName)
	if err != nil {
		return err
	}
	held := make(chan packet, 1<<16) // more than this is lost, as in any queue
	go release(out, held)
	for {
		buf := make([]byte, 1<<16)
		n, err := unix.Read(tun, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return fmt.Errorf("read %s: %w", tunName, err)
		}
		select {
		case held <- packet{time.Now().Add(delay), append([]byte(nil), buf[:n]...)}:
		default:
		}
	}
}

// packet is an IPv4 packet and the time at which it goes on.
type packet struct {
	due  time.Time
	data []byte
}

// release sends packets on when they are due. They are all held for the same time, so they stay in order.
func release(out int, held <-chan packet) {
	for p := range held {
		if len(p.data) < 20 || p.data[0]>>4 != 4 {
			continue // IPv6 neighbour discovery on the new device
		}
		time.Sleep(time.Until(p.due))
		to := unix.SockaddrInet4{Addr: [4]byte(p.data[16:20])}
		// Errors are the network's: the packet is lost, and whoever sent it will notice.
		_ = unix.Sendto(out, p.data, 0, &to)
	}
}

// openRaw opens a socket that sends ready-made packets through the device, whatever the routes say.
func openRaw(device string) (int, error) {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, unix.IPPROTO_RAW)
	if err != nil {
		return 0, fmt.Errorf("raw socket: %w", err)
	}
	if err := unix.BindToDevice(fd, device); err != nil {
		return 0, fmt.Errorf("bind to %s: %w", device, err)
	}
	return fd, nil
}

func openTun(name string) (int, error) {
	fd, err := unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("open /dev/net/tun: %w", err)
	}
	req, err := unix.NewIfreq(name)
	if err != nil {
		return 0, err
	}
	req.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
	if err := unix.IoctlIfreq(fd, unix.TUNSETIFF, req); err != nil {
		return 0, fmt.Errorf("create %s: %w", name, err)
	}
	return fd, nil
}
