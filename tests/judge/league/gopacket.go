// What gopacket/reassembly makes of the TCP connections of a capture, with its state machine and
// its checks of options and checksums. One line for each: address and port of the client, of the
// server, and what each of them sent, in hexadecimal digits behind an x.
//
//	gopacket CAPTURE
package main

import (
	"fmt"
	"io"
	"os"

	"github.com/google/gopacket"
	"github.com/google/gopacket/ip4defrag"
	"github.com/google/gopacket/layers"
	"github.com/google/gopacket/pcapgo"
	"github.com/google/gopacket/reassembly"
)

// A connection, and what its two sides have sent: the client, the server.
type connection struct {
	network, transport gopacket.Flow
	states             *reassembly.TCPSimpleFSM
	options            reassembly.TCPOptionCheck
	sent               [2][]byte
}

// Accept says whether the receiver would take a segment.
func (c *connection) Accept(
	tcp *layers.TCP, info gopacket.CaptureInfo, by reassembly.TCPFlowDirection,
	next reassembly.Sequence, start *bool, _ reassembly.AssemblerContext,
) bool {
	if !c.states.CheckState(tcp, by) {
		return false
	}
	if c.options.Accept(tcp, info, by, next, start) != nil {
		return false
	}
	sum, err := tcp.ComputeChecksum()
	return err == nil && sum == 0
}

// ReassembledSG takes the next bytes of a side. What was skipped before them is not shown.
func (c *connection) ReassembledSG(bytes reassembly.ScatterGather, _ reassembly.AssemblerContext) {
	by, _, _, _ := bytes.Info()
	length, _ := bytes.Lengths()
	side := 0
	if by == reassembly.TCPDirServerToClient {
		side = 1
	}
	c.sent[side] = append(c.sent[side], bytes.Fetch(length)...)
}

// ReassemblyComplete keeps a connection for its last acknowledgement.
func (c *connection) ReassemblyComplete(reassembly.AssemblerContext) bool {
	return false
}

// All connections, in the order in which they began.
type connections struct {
	all []*connection
}

// New begins a connection.
func (c *connections) New(
	network, transport gopacket.Flow, _ *layers.TCP, _ reassembly.AssemblerContext,
) reassembly.Stream {
	began := &connection{
		network:   network,
		transport: transport,
		states:    reassembly.NewTCPSimpleFSM(reassembly.TCPSimpleFSMOptions{}),
		options:   reassembly.NewTCPOptionCheck(),
	}
	c.all = append(c.all, began)
	return began
}

type context struct {
	info gopacket.CaptureInfo
}

func (c *context) GetCaptureInfo() gopacket.CaptureInfo {
	return c.info
}

// whole puts fragments of IPv4 together. False: there are more to come, or they do not fit.
func whole(packet gopacket.Packet, defragmenter *ip4defrag.IPv4Defragmenter) bool {
	header, is4 := packet.NetworkLayer().(*layers.IPv4)
	if !is4 {
		return true
	}
	length := header.Length
	joined, err := defragmenter.DefragIPv4(header)
	if err != nil || joined == nil {
		return false
	}
	builder, ok := packet.(gopacket.PacketBuilder)
	if ok && joined.Length != length {
		return joined.NextLayerType().Decode(joined.Payload, builder) == nil
	}
	return true
}

func read(path string, began *connections) error {
	file, err := os.Open(path)
	if err != nil {
		return err
	}
	defer file.Close()
	capture, err := pcapgo.NewReader(file)
	if err != nil {
		return err
	}
	assembler := reassembly.NewAssembler(reassembly.NewStreamPool(began))
	defragmenter := ip4defrag.NewIPv4Defragmenter()
	for {
		bytes, info, err := capture.ReadPacketData()
		if err == io.EOF {
			break
		} else if err != nil {
			return err
		}
		packet := gopacket.NewPacket(bytes, capture.LinkType(), gopacket.Default)
		if packet.NetworkLayer() == nil || !whole(packet, defragmenter) {
			continue
		}
		if tcp, ok := packet.Layer(layers.LayerTypeTCP).(*layers.TCP); ok {
			if err := tcp.SetNetworkLayerForChecksum(packet.NetworkLayer()); err != nil {
				continue
			}
			assembler.AssembleWithContext(packet.NetworkLayer().NetworkFlow(), tcp, &context{info})
		}
	}
	assembler.FlushAll()
	return nil
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gopacket CAPTURE")
		os.Exit(2)
	}
	var began connections
	if err := read(os.Args[1], &began); err != nil {
		fmt.Fprintf(os.Stderr, "gopacket: %s\n", err)
		os.Exit(1)
	}
	for _, c := range began.all {
		client, server := c.network.Endpoints()
		from, to := c.transport.Endpoints()
		if len(from.Raw()) == 0 {
			continue // a header that was cut before its ports
		}
		fmt.Printf("%s %s %s %s x%x x%x\n", client, from, server, to, c.sent[0], c.sent[1])
	}
}
