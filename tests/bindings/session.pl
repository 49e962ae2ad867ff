#!/usr/bin/env perl
# SPDX-License-Identifier: MPL-2.0
# One side of a session, see tests/programs.py: perl session.pl bind|connect REQUESTS NEWS

use strict;
use warnings;
use ZMQ::FFI qw(ZMQ_REQ ZMQ_REP ZMQ_SUB ZMQ_XPUB ZMQ_RCVTIMEO ZMQ_SNDTIMEO ZMQ_LINGER);

my @sizes = (0, 1, 33, 34, 255, 256, 8192, 100_000);
my $news_count = 10;

sub same { join("\0", scalar(@{$_[0]}), @{$_[0]}) eq join("\0", scalar(@{$_[1]}), @{$_[1]}) }

# Who connects has nothing left to send in the end but subscriptions, for who is gone by then.
sub open_socket {
    my ($context, $type, $linger) = @_;
    my $socket = $context->socket($type);
    $socket->set($_, 'int', 20_000) for ZMQ_RCVTIMEO, ZMQ_SNDTIMEO;
    $socket->set(ZMQ_LINGER, 'int', $linger);
    return $socket;
}

sub run_bind {
    my ($context, $requests, $news) = @_;
    my $server = open_socket($context, ZMQ_REP, 20_000);
    $server->bind($requests);
    my $publisher = open_socket($context, ZMQ_XPUB, 20_000);
    $publisher->bind($news);
    my @request;
    do {
        @request = $server->recv_multipart();
        $server->send_multipart([@request]);
    } while ($request[0] ne 'stop');
    # Its file descriptor is waited for, as an event loop would.
    my $descriptor = $publisher->get_fd();
    until ($publisher->has_pollin()) {
        my $bits = '';
        vec($bits, $descriptor, 1) = 1;
        select($bits, undef, undef, 20) or die "perl: no subscription\n";
    }
    $publisher->recv() eq "\x01news" or die "perl: another subscription\n";
    for my $i (0 .. $news_count - 1) {
        $publisher->send_multipart(['sport', $i]);
        $publisher->send_multipart(['news', $i]);
    }
    # The subscriber's answer: it has all of them.
    $server->send_multipart([$server->recv_multipart()]);
    $_->close() for $server, $publisher;
}

sub run_connect {
    my ($context, $requests, $news) = @_;
    my $client = open_socket($context, ZMQ_REQ, 0);
    $client->connect($requests);
    for my $size (@sizes) {
        my $parts = ['echo', 'x' x $size, ''];
        $client->send_multipart($parts);
        same([$client->recv_multipart()], $parts) or die "perl: echo of $size\n";
    }
    $client->send_multipart(['stop']);
    $client->recv_multipart();
    my $subscriber = open_socket($context, ZMQ_SUB, 0);
    $subscriber->subscribe('news');
    $subscriber->connect($news);
    for my $i (0 .. $news_count - 1) {
        same([$subscriber->recv_multipart()], ['news', $i]) or die "perl: news $i\n";
    }
    $client->send_multipart(['end']);
    $client->recv_multipart();
    $_->close() for $client, $subscriber;
}

my ($role, $requests, $news) = @ARGV;
my $context = ZMQ::FFI->new(soname => 'libzmq.so.5');
{ bind => \&run_bind, connect => \&run_connect }->{$role}->($context, $requests, $news);
open my $maps, '<', '/proc/self/maps' or die $!;
my %found = map { m{(/\S*/libzmq[^/\s]*)} ? ($1 => 1) : () } <$maps>;
print join(' ', sort keys %found), "\n";
$context->destroy();
