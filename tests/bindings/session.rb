#!/usr/bin/env ruby
# SPDX-License-Identifier: MPL-2.0
# One side of a session, see tests/programs.py: ruby session.rb bind|connect REQUESTS NEWS

require 'ffi-rzmq'

SIZES = [0, 1, 33, 34, 255, 256, 8192, 100_000].freeze
NEWS = 10

def check(code)
  ZMQ::Util.resultcode_ok?(code) or abort "ruby: #{ZMQ::Util.error_string}"
end

# Who connects has nothing left to send in the end but subscriptions, for who is gone by then.
def open_socket(context, type, linger)
  socket = context.socket(type)
  check(socket.setsockopt(ZMQ::RCVTIMEO, 20_000))
  check(socket.setsockopt(ZMQ::SNDTIMEO, 20_000))
  check(socket.setsockopt(ZMQ::LINGER, linger))
  socket
end

def receive(socket)
  parts = []
  check(socket.recv_strings(parts))
  parts
end

def transmit(socket, *parts)
  check(socket.send_strings(parts))
end

def bind(context, requests, news)
  server = open_socket(context, ZMQ::REP, 20_000)
  check(server.bind(requests))
  publisher = open_socket(context, ZMQ::XPUB, 20_000)
  check(publisher.bind(news))
  loop do
    request = receive(server)
    transmit(server, *request)
    break if request[0] == 'stop'
  end
  # Polled for, as an event loop would.
  poller = ZMQ::Poller.new
  poller.register_readable(publisher)
  poller.poll(20_000) == 1 && receive(publisher) == ["\x01news"] or abort 'ruby: no subscription'
  NEWS.times do |i|
    transmit(publisher, 'sport', i.to_s)
    transmit(publisher, 'news', i.to_s)
  end
  # The subscriber's answer: it has all of them.
  transmit(server, *receive(server))
  [server, publisher]
end

def connect(context, requests, news)
  client = open_socket(context, ZMQ::REQ, 0)
  check(client.connect(requests))
  SIZES.each do |size|
    parts = ['echo', 'x' * size, '']
    transmit(client, *parts)
    receive(client) == parts or abort "ruby: echo of #{size}"
  end
  transmit(client, 'stop')
  receive(client)
  subscriber = open_socket(context, ZMQ::SUB, 0)
  check(subscriber.setsockopt(ZMQ::SUBSCRIBE, 'news'))
  check(subscriber.connect(news))
  NEWS.times { |i| receive(subscriber) == ['news', i.to_s] or abort "ruby: news #{i}" }
  transmit(client, 'end')
  receive(client)
  [client, subscriber]
end

role, requests, news = ARGV
context = ZMQ::Context.new
sockets = { 'bind' => method(:bind), 'connect' => method(:connect) }.fetch(role).call(context, requests, news)
puts File.read('/proc/self/maps').scan(%r{/\S*/libzmq[^/\s]*}).uniq.join(' ')
sockets.each { |socket| check(socket.close) }
check(context.terminate)
