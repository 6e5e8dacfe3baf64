// Hello answers on port 8080, TCP and UDP alike, with its pod's name and what it was sent: what `check` asks a cluster for.
package main

import (
	"bufio"
	"fmt"
	"log"
	"net"
	"os"
)

func main() {
	name, err := os.Hostname()
	if err != nil {
		log.Fatal(err)
	}
	datagrams, err := net.ListenPacket("udp", ":8080")
	if err != nil {
		log.Fatal(err)
	}
	go func() {
		buffer := make([]byte, 1500)
		for {
			length, client, err := datagrams.ReadFrom(buffer)
			if err != nil {
				log.Fatal(err)
			}
			if _, err := datagrams.WriteTo(fmt.Appendf(nil, "%s %s", name, buffer[:length]), client); err != nil {
				log.Print(err)
			}
		}
	}()
	listener, err := net.Listen("tcp", ":8080")
	if err != nil {
		log.Fatal(err)
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go func() {
			defer connection.Close()
			if line, err := bufio.NewReader(connection).ReadString('\n'); err == nil {
				fmt.Fprintf(connection, "%s %s", name, line)
			}
		}()
	}
}
