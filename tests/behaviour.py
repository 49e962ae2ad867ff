# SPDX-License-Identifier: MPL-2.0
"""Which test shows which behaviour of libzmq's: the second half of MATRIX.md, kept by hand.

Of each behaviour a few tests, as "program: test test; program: test". tests/matrix.py checks that
they are there and that one of them has passed.
"""

BEHAVIOUR = {
    "Binary interface": [
        ("the exported functions and nothing else, SONAME, no symbol versions",
         "symbols.rs: exports_the_functions_and_nothing_else soname_is_that_of_libzmq"
         " has_no_symbol_versions"),
        ("zmq.h: compiles as C and C++, macros and prototypes as libzmq's",
         "header.rs: compiles_everywhere macros_as_in_libzmq functions_as_in_libzmq"),
        ("sizes and layouts: zmq_msg_t, zmq_pollitem_t, zmq_poller_event_t",
         "header.rs: layout; test_messages: structure"),
        ("zmq_version, zmq_has: exact names, those of missing parts answer 0",
         "test_errors: version capabilities capability_names_are_exact"),
    ],
    "Errors and handles": [
        ("zmq_errno is the calling thread's",
         "test_errors: errno_is_that_of_the_thread errno_of_another_thread"),
        ("zmq_strerror: own texts, and the system's",
         "test_errors: own_error_numbers own_error_texts other_error_texts_are_the_system_s"),
        ("NULL, closed and foreign handles: ENOTSOCK, EFAULT",
         "test_errors: null_socket not_a_socket; test_context: null_context not_a_context;"
         " test_bad_input: closed_sockets a_context_is_no_socket"),
        ("NULL strings, buffers, messages and values are errors",
         "test_bad_input: null_endpoints null_buffers null_option_values null_messages"),
        ("ETERM from all calls once the context is ending, but not from zmq_close",
         "test_context: calls_after_shutdown options_after_shutdown;"
         " test_draft_radio_dish: join_and_leave_after_shutdown;"
         " test_bad_input: sockets_of_a_terminated_context"),
        ("send and receive in the wrong direction: ENOTSUP; unknown flags are ignored",
         "test_errors: directions unknown_flags_are_ignored"),
        ("nothing that is passed in aborts the process",
         "test_bad_input: random_options random_endpoints random_z85 terminated_contexts"),
        ("what crashes libzmq does not crash",
         "test_bad_input: draft_types_over_streams connect_routing_id_twice destroyed_timers"
         " inproc_name_bound_after_its_connect_was_taken_back"
         " mandatory_rep_with_a_full_requester dgram_with_a_large_body wss_without_a_certificate"),
        ("running out of descriptors",
         "test_context: no_descriptors_for_a_context no_descriptors_for_others;"
         " test_attacks: out_of_descriptors"),
    ],
    "Contexts": [
        ("options: defaults, ranges, unknown and write-only ones",
         "test_context: option_defaults options_set_and_get options_out_of_range unknown_options"
         " write_only_options flags_are_kept_as_0_or_1"),
        ("the draft's zmq_ctx_set_ext and zmq_ctx_get_ext",
         "test_draft_interface: context_numbers thread_name_prefix_of_letters zero_copy_recv"),
        ("IO_THREADS: none leaves inproc, several share the sockets, fixed by the first socket",
         "test_context: no_io_threads_leaves_inproc several_io_threads"
         " io_threads_after_the_first_socket"),
        ("zmq_socket: every type, EINVAL for others; which error comes first",
         "test_context: socket_types which_error_zmq_socket_tells; test_draft_types: thread_safe_types"),
        ("MAX_SOCKETS: EMFILE, the place of a closed socket is free again",
         "test_context: max_sockets default_max_sockets"),
        ("MAX_MSGSZ is stored, and no more", "test_context: max_msgsz_limits_nothing"),
        ("names, CPUs and scheduling of the threads",
         "test_context: io_thread_names thread_name_prefix_as_number thread_name_prefix_of_any_length"
         " affinity_cpus"
         " option_policy_defaults_to_minus_one; test_bad_input: thread_priority_without_permission"),
        ("IPV6 and BLOCKY are defaults of new sockets",
         "test_context: ipv6_is_the_default_of_new_sockets blocky_is_the_default_of_linger"),
        ("zmq_init, zmq_term, zmq_ctx_destroy", "test_context: deprecated_names"),
        ("inproc names belong to one context", "test_context: inproc_names_belong_to_a_context"),
    ],
    "End of a context": [
        ("zmq_ctx_term waits for every socket",
         "test_context: term_waits_for_open_sockets term_wakes_sockets_blocked_in_threads"),
        ("zmq_ctx_shutdown wakes blocked calls, can be repeated, forbids new sockets",
         "test_context: shutdown_wakes_recv shutdown_wakes_send shutdown_wakes_poll"
         " shutdown_then_term shutdown_forbids_new_sockets shutdown_before_the_first_socket"),
        ("calls that do not block notice it as well",
         "test_context: receiving_ends_soon_after_shutdown"),
        ("a signal interrupts zmq_ctx_term, which can be called again",
         "test_context: a_signal_interrupts_term_which_can_be_called_again"),
        ("with inproc connects that nobody bound",
         "test_context: term_with_a_connect_nobody_bound;"
         " test_bad_input: term_without_room_for_pending_connects"),
        ("while other threads open, connect and close",
         "test_context: shutdown_races_with_connecting_threads; test_stress: anything_at_any_time"),
        ("more than libzmq promises: two threads in zmq_ctx_term",
         "test_context: terminated_by_two_threads"),
        ("without sockets, and many contexts one after the other",
         "test_context: new_and_term many_contexts"),
    ],
    "Closing and LINGER": [
        ("zmq_close never waits", "test_context: close_never_waits"),
        ("LINGER 0 discards, a time is waited, -1 waits until all is sent",
         "test_linger_reconnect: linger_zero_does_not_wait linger_waits_its_time linger_delivers"),
        ("only messages are waited for", "test_linger_reconnect: linger_waits_only_for_messages"),
        ("a connection can still come about meanwhile",
         "test_linger_reconnect: linger_reaches_a_late_peer"),
        ("zmq_disconnect and zmq_unbind linger, with the value of that moment",
         "test_linger_reconnect: linger_of_disconnect unbind_lingers linger_of_several_connections"),
        ("defaults by type", "test_options: linger_defaults; test_draft_types: linger_defaults"),
        ("over inproc what was sent stays readable",
         "test_endpoints: inproc_messages_stay_after_the_sender_closed"),
        ("an unfinished message is discarded", "test_pushpull: sender_gone_in_mid_message"),
    ],
    "Messages": [
        ("empty, small and large ones; too large: ENOMEM", "test_messages: empty sizes too_large"),
        ("closing twice and uninitialised ones: EFAULT",
         "test_messages: close_twice never_initialised; test_bad_input: closed_messages zeroed_messages"),
        ("move and copy; copies of large ones are shared",
         "test_messages: move move_keeps_the_buffer copy copies_share_large_content_only many_copies"),
        ("zmq_msg_init_data: the buffer is freed once, when the last user is done with it",
         "test_messages: freed_by_close freed_without_content freed_with_the_last_copy"
         " freed_by_being_overwritten"
         " freed_after_transmission large_buffer_freed_after_transmission freed_when_undelivered"
         " freed_once_by_a_fan_out freed_by_the_receiver_over_inproc"),
        ("constant messages, zmq_send_const",
         "test_messages: constant_content send_const send_const_over_inproc_shares_the_buffer"),
        ("a sent message is empty; a failed send leaves it as it was",
         "test_messages: failed_send_leaves_the_message not_freed_by_a_failed_send"),
        ("receiving into a message that has content, and failing to",
         "test_messages: receiving_replaces_the_content content_after_a_failed_receive"),
        ("MORE, SHARED, SRCFD; nothing can be set",
         "test_messages: properties more a_copy_keeps_more metadata"),
        ("zmq_msg_gets: Socket-Type, Identity, Peer-Address, User-Id, the peer's own",
         "test_messages: metadata address_of_an_ipc_peer identity_by_type;"
         " test_draft_interface: names_of_properties; test_security: address_and_properties;"
         " test_wire: properties_of_the_peer properties_twice own_properties"),
        ("metadata: none over inproc, kept by copies, dropped by sending, on subscriptions, too",
         "test_messages: no_metadata_over_inproc metadata_survives_copy_and_move"
         " sending_strips_metadata; test_pubsub: metadata_of_a_subscription"),
        ("zmq_recv cuts, and tells the whole size, up to INT_MAX",
         "test_messages: truncated_receive messages_above_two_gigabytes"),
        ("zmq_sendmsg, zmq_recvmsg, zmq_sendiov, zmq_recviov",
         "test_messages: older_names iovec_parts iovec_without_sndmore_sends_messages"
         " iovec_takes_no_more_than_its_room iovec_errors iovec_stops_at_an_error"),
        ("all sizes arrive", "test_messages: sizes_arrive; test_wire: a_long_frame_out"),
        ("groups and routing ids of messages (draft)",
         "test_draft_radio_dish: groups_of_messages long_groups_are_cut a_short_group_after_a_long_one;"
         " test_draft_server: routing_id_of_a_message routing_ids_do_not_travel"),
    ],
    "Socket options in general": [
        ("defaults, ranges and sizes of the numbers, on every type",
         "test_options: int_defaults int_valid_values int_invalid_values int_sizes"
         " int_options_on_every_type any_number_but_0_is_1"),
        ("texts: limits, clearing; larger buffers are filled with zeros",
         "test_options: text_options text_options_limit socks_credentials bindtodevice"
         " larger_buffers_are_cleared"),
        ("read-only, write-only and unknown options: EINVAL",
         "test_options: read_only_options write_only_options unknown_options"),
        ("options of a pattern are refused by other types",
         "test_options: pattern_options_by_type subscribe_by_type connect_routing_id_by_type"
         " welcome_message_by_type; test_draft_types: options_of_other_types"),
        ("most act on the next bind or connect",
         "test_options: options_act_on_the_next_bind options_act_on_the_next_connect"),
        ("aliases and IPV4ONLY", "test_options: older_names ipv4only_is_the_inverse_of_ipv6"),
        ("EVENTS of a fresh socket",
         "test_options: events_of_a_fresh_socket; test_draft_types: events_of_fresh_sockets"),
        ("RCVTIMEO, SNDTIMEO, DONTWAIT", "test_options: timeouts"),
        ("AFFINITY, and EMTHREAD without such a thread",
         "test_options: affinity affinity_without_a_thread"),
        ("MAXMSGSIZE counts each part and ends the connection",
         "test_options: maxmsgsize maxmsgsize_drops_the_connection maxmsgsize_is_for_each_part"),
        ("METADATA", "test_wire: own_properties"),
        ("batch sizes, BUSY_POLL, PRIORITY, LOOPBACK_FASTPATH",
         "test_draft_options: small_batches; test_bad_input: busy_poll_can_be_read;"
         " test_draft_interface: priority loopback_fastpath"),
        ("those of transports that are not built in: pgm's are stored, others unknown",
         "test_options: int_valid_values vmci_options; test_draft_interface: norm_options"),
    ],
    "Queues": [
        ("high-water marks over inproc add up, 0 means none",
         "test_hwm: inproc_limits_add_up inproc_zero_on_either_side_is_unlimited inproc_default_is_2000"),
        ("before the bind the connecting side's alone counts",
         "test_hwm: inproc_before_the_bind_the_sender_s_limit_alone queued_before_the_connection"),
        ("whole messages count, not parts; ids do not count",
         "test_hwm: parts_of_a_message_count_once a_begun_message_is_never_refused;"
         " test_router_dealer: ids_do_not_count_for_the_limit"),
        ("they can be changed on live connections",
         "test_hwm: raising_the_sender_s_limit raising_the_limit_of_a_full_queue"
         " raising_the_limit_of_a_full_pipe lowering_below_what_waits"
         " changing_the_receiver_s_limit"),
        ("each peer has a queue of its own",
         "test_hwm: two_peers_two_queues room_comes_back_by_receiving"
         " room_comes_back_after_half_the_queue"),
        ("a slow reader stops the sender; nothing is lost, doubled or reordered",
         "test_hwm: back_pressure_loses_nothing a_lazy_reader_stops_the_sender;"
         " test_backpressure: a_stopped_receiver_with_a_limit a_stopped_receiver_without_a_limit"
         " a_sender_beyond_the_limit"),
        ("tiny kernel buffers",
         "test_backpressure: send_buffers_of_4_kilobytes send_buffers_of_1_byte"),
        ("a blocked sender goes on", "test_hwm: blocked_sender_goes_on"),
        ("PUB, ROUTER and their like drop instead",
         "test_hwm: pub_drops_whole_messages_at_the_limit pub_at_the_default_limit;"
         " test_router_dealer: full_peers_do_not_block"),
        ("CONFLATE keeps the newest message, where it has a meaning",
         "test_options: conflate_keeps_the_newest conflating_parts conflate_outlives_the_sender"
         " conflate_elsewhere"),
        ("who has the mark reached does not starve the others",
         "test_backpressure: an_endless_backlog_starves_nobody buffers_are_given_back_once"),
    ],
    "Round robin, fair queues, whole messages": [
        ("sending goes round among those with room, newcomers last",
         "test_pushpull: push_goes_round newcomers_come_last; test_router_dealer: dealer_goes_round;"
         " test_reqrep: requests_go_round"),
        ("receiving takes turns",
         "test_pushpull: pull_takes_fairly pull_takes_in_turn; test_router_dealer: router_takes_in_turn;"
         " test_reqrep: requests_are_taken_fairly"),
        ("the parts of a message stay together",
         "test_pushpull: parts_stay_together; test_router_dealer: parts_received_later"),
        ("a peer that goes in the middle of a message",
         "test_pushpull: peer_gone_in_mid_message peer_gone_in_mid_message_without_waiting;"
         " test_pair: peer_gone_in_mid_message"),
        ("without a peer: wait or EAGAIN",
         "test_pushpull: push_without_a_peer a_blocked_push_goes_on_with_a_peer; test_pair: without_a_peer;"
         " test_router_dealer: dealer_without_a_peer"),
        ("a dead peer is left out; what it sent before stays",
         "test_pushpull: a_dead_peer_is_left_out what_waits_survives_the_sender;"
         " test_router_dealer: what_came_before_the_peer_left_stays"),
    ],
    "PAIR and CHANNEL": [
        ("both ways, in order", "test_pair: both_ways in_order large_messages;"
         " test_draft_types: channel_both_ways"),
        ("a second peer gets nothing, also when the first goes",
         "test_pair: second_peer_gets_nothing second_peer_over_inproc_gets_nothing"
         " second_peer_waits_in_vain; test_draft_types: channel_has_one_peer"),
        ("the place is free for the next peer; tcp reconnects",
         "test_pair: next_peer_after_the_first_has_gone reconnects;"
         " test_draft_types: channel_takes_the_next_peer"),
    ],
    "REQ and REP": [
        ("strict order: EFSM; poll events follow it",
         "test_reqrep: req_order rep_order events_follow_the_order"),
        ("the envelope: delimiter, addresses, kept by REP and sent back",
         "test_reqrep: what_req_sends what_rep_returns through_a_queue"),
        ("what has no delimiter is skipped by REP, ends the connection at REQ",
         "test_reqrep: rep_skips_what_has_no_delimiter req_skips_a_malformed_reply"
         " a_malformed_reply_ends_the_connection a_reply_with_an_id_that_was_not_asked_for;"
         " test_wire: malformed_replies_to_req a_reply_of_empty_parts"),
        ("replies only from the peer that was asked, stale ones are dropped",
         "test_reqrep: another_peer_s_reply_is_not_taken a_surplus_reply_is_taken_at_most_once"
         " after_the_peer_has_gone_another_s_reply_is_taken"),
        ("REQ_CORRELATE",
         "test_reqrep: correlate correlate_skips_a_reply_without_id"
         " correlate_skips_what_has_the_id_and_no_delimiter correlate_counts_failed_attempts"
         " correlate_with_rep"),
        ("REQ_RELAXED; without it a lost reply is waited for for ever",
         "test_reqrep: relaxed_sends_again relaxed_goes_to_the_next_peer relaxed_survives_its_server"
         " relaxed_takes_a_late_reply_without_correlate relaxed_in_the_middle_of_a_reply"
         " strict_waits_for_ever"),
        ("replies to who has gone, or is full, are dropped",
         "test_reqrep: reply_to_who_has_gone a_full_requester_loses_its_reply"
         " requester_gone_in_mid_request"),
    ],
    "ROUTER and DEALER": [
        ("ids: the peer's, made-up ones, long ones; free again when the peer has gone",
         "test_router_dealer: made_up_ids made_up_ids_count long_ids an_id_comes_back;"
         " test_wire: identity_of_the_peer"),
        ("unknown ids and lone ids are dropped",
         "test_router_dealer: unknown_ids_are_dropped id_alone_is_ignored"),
        ("ROUTER_MANDATORY: EHOSTUNREACH, EAGAIN, POLLOUT",
         "test_router_dealer: mandatory mandatory_before_the_peer_is_known mandatory_before_the_bind"
         " mandatory_after_the_peer_has_gone mandatory_at_the_limit"
         " pollout_of_a_mandatory_router pollout_of_a_mandatory_router_with_full_peers"),
        ("equal ids: the second stays out, and fills up",
         "test_router_dealer: second_of_two_equal_ids_stays_out second_of_two_equal_ids_fills_up"),
        ("ROUTER_HANDOVER",
         "test_router_dealer: handover handover_leaves_the_connection handover_in_mid_message"
         " handover_over_inproc_ends_the_pipe"),
        ("CONNECT_ROUTING_ID",
         "test_router_dealer: connect_routing_id connect_routing_id_is_for_one_connect"
         " connect_routing_id_of_any_kind"
         " connect_routing_id_wins_over_the_peer_s_own; test_bad_input: connect_routing_id_twice"),
        ("PROBE_ROUTER",
         "test_router_dealer: probe probe_of_a_dealer probe_of_who_binds probe_of_a_req"
         " one_probe_for_a_connecting_peer"),
        ("ROUTER_NOTIFY",
         "test_draft_options: router_hears_of_peers router_hears_of_what_it_asks_for"
         " router_and_unfinished_messages no_notifications_in_one_process router_notify_values"),
        ("ROUTER_RAW", "test_router_dealer: raw_router raw_router_sends_single_parts"),
        ("a message that polling has seen stays when its peer goes",
         "test_router_dealer: polled_message_of_a_peer_that_left"
         " polled_message_of_a_peer_that_was_replaced polled_message_of_a_connection_taken_back"),
        ("zmq_socket_get_peer_state",
         "test_draft_server: peer_state_of_a_router peer_state_of_a_full_peer peer_state_errors"),
    ],
    "PUB and SUB, XPUB and XSUB": [
        ("subscriptions are prefixes of the first part, counted",
         "test_pubsub: prefixes only_the_first_part_counts a_repeated_subscription_counts"
         " nothing_without_a_subscription topics_with_any_byte"),
        ("long topics", "test_pubsub: long_topics topics_of_246_to_255_bytes;"
         " test_wire: a_topic_of_255_bytes_to_3_0"),
        ("fan-out; who comes in the middle of a message begins with the next",
         "test_pubsub: fan_out a_sub_of_two_pubs a_subscriber_in_mid_message a_dead_subscriber_is_left_out"),
        ("XPUB hears of the first and the last, of what nobody had, and of who leaves",
         "test_pubsub: xpub_hears_the_first_and_the_last a_subscriber_that_leaves_unsubscribes;"
         " test_wire: unsubscription_of_what_nobody_had"),
        ("XPUB_VERBOSE, XPUB_VERBOSER, XSUB_VERBOSE_UNSUBSCRIBE",
         "test_pubsub: xpub_verbose xpub_verboser verbose_and_verboser"
         " verboser_reports_every_topic_of_who_leaves; test_draft_interface: xsub_verbose_unsubscribe"),
        ("XPUB_MANUAL, XPUB_MANUAL_LAST_VALUE",
         "test_pubsub: xpub_manual xpub_manual_reports_everything xpub_manual_at_the_end_of_a_subscriber"
         " xpub_manual_applies_to_the_last_subscription xpub_manual_set_and_reset xpub_manual_last_value"
         " xpub_manual_last_value_only_if_it_matches pub_manual_is_of_no_use"),
        ("XPUB_NODROP",
         "test_pubsub: nodrop nodrop_is_for_all; test_hwm: nodrop_says_eagain_at_the_limit"),
        ("XPUB_WELCOME_MSG", "test_pubsub: welcome_message welcome_message_of_the_moment"),
        ("INVERT_MATCHING", "test_pubsub: invert_matching"),
        ("ONLY_FIRST_SUBSCRIBE", "test_pubsub: only_first_subscribe subscriptions_in_later_parts"),
        ("TOPICS_COUNT", "test_pubsub: topics_count"),
        ("XSUB: subscriptions are messages, others go to all publishers, XPUB hands them out",
         "test_pubsub: xsub_subscribes_by_messages xsub_counts_subscriptions xsub_filters_nothing"
         " xsub_sends_other_messages a_full_publisher_misses_messages pub_ignores_other_messages"),
        ("subscriptions are sent again after a reconnect, and to newcomers, in the order of their bytes",
         "test_pubsub: subscriptions_come_back_with_the_connection subscriptions_before_connecting"
         " topics_in_order"),
        ("subscriptions beyond SNDHWM are dropped; an XPUB's own queue has no limit",
         "test_pubsub: subscriptions_beyond_the_limit_are_dropped many_topics;"
         " test_memory: more_subscriptions_than_the_high_water_mark"),
        ("full subscribers are passed over", "test_pubsub: full_subscribers_are_passed_over"),
        ("events", "test_pubsub: events; test_poll: a_filtered_message_is_no_event"),
        ("through a proxy", "test_pubsub: through_a_forwarder; test_proxy: forwarder"),
    ],
    "STREAM": [
        ("id and data, notifications, or none",
         "test_stream: connect_data_disconnect without_notifications nothing_is_said_first several_peers"),
        ("an empty part closes; unknown ids: EHOSTUNREACH; ids without MORE are swallowed",
         "test_stream: an_empty_part_closes an_empty_constant_part_closes unknown_id"
         " data_after_an_unknown_id id_without_more_is_swallowed more_on_data_is_ignored"),
        ("connecting: the id is kept, ROUTING_ID, CONNECT_ROUTING_ID, what it closes is final",
         "test_stream: connecting_stream connecting_stream_comes_back_with_its_id connect_routing_id"
         " routing_id_of_the_last_peer data_before_the_connection"
         " closing_a_connection_of_one_s_own_is_final"),
        ("no timers, no MAXMSGSIZE; large pieces; a full peer",
         "test_stream: no_timers a_large_piece pieces_keep_their_order a_full_peer"),
        ("events, properties, ROUTING_ID; ZMTP by hand",
         "test_monitor: stream_sockets_have_events_too; test_stream: events_of_a_connection_of_one_s_own"
         " peer_address routing_id plays_zmtp"),
    ],
    "Draft socket types": [
        ("SERVER and CLIENT: routing ids, unroutable messages, a full client",
         "test_draft_server: answers_go_to_who_has_asked unroutable_messages a_full_client"
         " a_client_without_a_server client_takes_turns"),
        ("PEER: zmq_connect_peer, zmq_disconnect_peer",
         "test_draft_server: peers_talk_first several_peers connect_peer_errors disconnecting_a_client"
         " disconnect_peer_errors disconnecting_ends_the_connection"),
        ("one part only: SNDMORE is EINVAL, others' parts are dropped",
         "test_draft_types: several_parts_are_refused several_parts_over_inproc_are_dropped;"
         " test_draft_server: several_parts_are_dropped polling_does_not_see_what_is_dropped"),
        ("RADIO and DISH: zmq_join, zmq_leave, exact groups, again after a reconnect",
         "test_draft_radio_dish: join_and_leave_errors only_joined_groups_arrive each_dish_gets_its_groups"
         " groups_are_joined_again_after_a_reconnect a_full_dish"),
        ("RADIO and DISH on the wire, and what they refuse",
         "test_draft_radio_dish: a_radio_on_the_wire a_dish_on_the_wire what_a_dish_does_not_take;"
         " test_bad_input: radio_with_an_endless_group"),
        ("SCATTER and GATHER",
         "test_draft_types: scatter_takes_turns gather_takes_from_all scatter_waits_for_room"),
        ("DGRAM: two parts, addresses, what cannot be sent is dropped",
         "test_draft_udp: dgram_there_and_back dgram_on_the_wire dgram_messages_have_two_parts"
         " dgram_before_and_after_its_bind"),
        ("many threads on one socket; no ZMQ_FD",
         "test_draft_types: thread_safe_types many_threads_on_one_socket send_while_receiving"),
        ("HELLO_MSG",
         "test_draft_options: hello_both_ways hello_of_a_rep hello_comes_first hello_for_each_peer hello_after_reconnecting"
         " hello_of_types_without_one"),
        ("DISCONNECT_MSG",
         "test_draft_options: a_client_goes a_dealer_goes zmq_disconnect_is_noticed"
         " a_handshake_that_fails_is_no_peer the_rest_of_a_message_goes_with_its_peer"),
        ("HICCUP_MSG",
         "test_draft_options: a_server_goes no_hiccup_in_one_process the_binding_side_has_no_hiccups"),
    ],
    "Endpoints": [
        ("syntax and unknown transports: EINVAL, EPROTONOSUPPORT",
         "test_endpoints: syntax_errors unknown_transports null_endpoint_of_unbind_and_disconnect"),
        ("transports not for every type: ENOCOMPATPROTO",
         "test_endpoints: udp_is_not_for_these_types; test_draft_udp: which_types_bind_and_connect"),
        ("EMTHREAD without an I/O thread", "test_endpoints: no_io_thread"),
        ("LAST_ENDPOINT",
         "test_endpoints: last_endpoint_follows_bind_and_connect last_endpoint_stays_after_unbind"
         " last_endpoint_buffer"),
        ("what zmq_unbind and zmq_disconnect find, and what not: ENOENT",
         "test_endpoints: unbind_twice disconnect_twice unbind_and_disconnect_are_the_same"
         " unbind_of_a_wildcard_text unbind_by_a_name unbind_by_an_interface"
         " disconnect_by_the_text_of_connect disconnect_by_another_text"),
        ("zmq_unbind closes what was accepted; zmq_disconnect discards what is unread",
         "test_endpoints: unbind_closes_accepted_connections disconnect_ends_delivery"
         " disconnect_discards_what_is_unread"),
        ("connecting twice: a second connection, or none by type",
         "test_endpoints: two_connections_to_one_endpoint dealer_sub_pub_req_connect_once"
         " another_text_is_another_connection"),
        ("endpoints of connections that ended for good",
         "test_endpoints: endpoints_of_dead_sessions"),
    ],
    "tcp": [
        ("what bind and connect refuse, and what connect does not look at",
         "test_endpoints: tcp_bind_errors tcp_bind_reads_a_number tcp_connect_errors"
         " tcp_connect_looks_at_the_text_only"
         " tcp_ports_above_65535"),
        ("wildcards, brackets, zones, names of hosts and interfaces",
         "test_endpoints: tcp_wildcard_port tcp_wildcard_host tcp_brackets tcp_zones tcp_names"
         " tcp_mapped_addresses tcp_bind_to_a_host_name"),
        ("addresses in use, and used again at once",
         "test_endpoints: tcp_address_in_use tcp_bind_again_after_unbind a_port_is_free_at_once"
         " unbind_and_bind_in_turn"
         " tcp_several_endpoints"),
        ("source addresses",
         "test_endpoints: tcp_source_address tcp_source_address_is_bound tcp_source_that_cannot_be"
         " tcp_bind_with_a_source_address"),
        ("IPv6, and IPv4 beside it",
         "test_endpoints: tcp_ipv6 tcp_ipv6_takes_ipv4_too tcp_connect_to_ipv4_with_ipv6_on"
         " tcp_ipv6_listens_for_both"),
        ("options of the kernel's socket: buffers, TOS, keepalive, BACKLOG, device, nodelay",
         "test_endpoints: tcp_kernel_options tcp_keepalive_off tcp_traffic_class_of_ipv6 tcp_backlog;"
         " test_options: buffers_and_tos_and_keepalive_connect bindtodevice"),
        ("USE_FD", "test_options: use_fd use_fd_leaves_copies_listening"),
        ("TCP_ACCEPT_FILTER", "test_options: accept_filter_syntax accept_filter_works"
         " accept_filters_can_be_cleared"),
        ("what comes to no address is tried again, and said by CONNECT_RETRIED alone",
         "test_monitor: tcp_connecter_without_an_address"),
        ("SOCKS_PROXY: with and without a password, names for the proxy, failures",
         "test_socks: without_authentication with_user_and_password names_are_for_the_proxy"
         " refused_and_tried_again wrong_password a_proxy_that_hangs_up no_proxy_there taken_back"),
    ],
    "ipc": [
        ("paths: length, missing directories, an old file is replaced and stays",
         "test_endpoints: ipc_path ipc_path_length ipc_missing_directory ipc_paths_that_cannot_be"
         " ipc_bind_replaces_the_file ipc_file_stays_after_close"),
        ("wildcards and abstract names",
         "test_endpoints: ipc_wildcard ipc_wildcard_and_more ipc_wildcard_in_tmpdir ipc_abstract"
         " ipc_abstract_name_length ipc_connect_takes_a_star_as_it_is"),
        ("USE_FD", "test_endpoints: ipc_use_fd ipc_use_fd_of_another_name"),
        ("IPC_FILTER_UID, IPC_FILTER_GID, IPC_FILTER_PID",
         "test_options: ipc_filters ipc_filters_are_alternatives ipc_filter_for_a_supplementary_group"),
    ],
    "inproc": [
        ("names", "test_endpoints: inproc_names inproc_name_is_free_after_unbind_and_close"),
        ("connecting before binding",
         "test_endpoints: inproc_connect_before_bind inproc_several_connects_before_bind"
         " inproc_close_before_bind inproc_bind_and_connect_race"),
        ("no check of types, no security, no reconnect, zmq_unbind leaves the pipes",
         "test_endpoints: inproc_checks_no_types inproc_subscriptions_are_messages_to_others"
         " inproc_has_no_security inproc_binder_gone inproc_binder_gone_for_good"
         " unbind_of_inproc_leaves_the_pipes"),
        ("content is shared, not copied",
         "test_messages: send_const_over_inproc_shares_the_buffer freed_by_the_receiver_over_inproc"),
    ],
    "ws and wss": [
        ("endpoints", "test_ws: bound_endpoints connected_endpoints paths_of_several_parts"
         " addresses_that_are_none; test_wss: endpoints"),
        ("the HTTP upgrade, byte by byte, and what is refused",
         "test_ws_wire: request_of_a_client handshake_of_a_server handshake_of_a_client byte_by_byte"
         " malformed_requests malformed_responses the_accept_key_is_checked an_endless_header"),
        ("sub-protocols, with and without a mechanism",
         "test_ws_wire: offers without_a_mechanism a_server_may_choose_no_mechanism"
         " nobody_goes_past_a_zap_handler_without_a_mechanism; test_ws: mismatched_mechanisms"),
        ("frames: lengths, masks, fragments, what is malformed",
         "test_ws_wire: lengths fragments malformed_frames a_masked_frame_from_a_server"
         " longer_than_maxmsgsize; test_ws: every_length_both_ways masking_leaves_messages_alone"),
        ("PING, PONG and CLOSE",
         "test_ws_wire: ping_is_answered heartbeats_are_pings heartbeats_without_a_mechanism"
         " a_peer_without_pong_is_dropped close_is_answered_and_ends_the_connection"),
        ("events, reconnecting, CURVE inside",
         "test_ws: events_of_a_listener events_of_a_connecter reconnects curve"),
        ("wss: certificates, trust",
         "test_wss: request_and_reply without_a_certificate no_trust ws_is_no_wss events"),
    ],
    "udp, tipc, vsock, pgm, norm": [
        ("udp: addresses, wildcards, errors",
         "test_draft_udp: addresses_that_cannot_be no_io_thread binding_tells_its_errors wildcard_ports"
         " unbinding_and_disconnecting"),
        ("udp: datagrams, groups, multicast, no events",
         "test_draft_udp: a_radio_on_the_wire a_dish_on_the_wire groups multicast long_datagrams_arrive_whole"
         " no_events"),
        ("tipc", "test_other_transports: tipc_addresses_that_cannot_be tipc_there_and_back"
         " tipc_without_a_kernel_that_has_it"),
        ("vsock", "test_other_transports: vsock_addresses_that_cannot_be vsock_listening"
         " vsock_there_and_back"),
        ("what is not built in: EPROTONOSUPPORT",
         "test_endpoints: unknown_transports transports_that_are_not_built_in; test_errors: capabilities"),
    ],
    "Connecting and reconnecting": [
        ("messages wait for the first and the next connection; the binding side loses them",
         "test_linger_reconnect: messages_wait_for_the_next_connection the_binder_loses_its_queue"
         " connection_refused_many_times"),
        ("RECONNECT_IVL and RECONNECT_IVL_MAX: spread, doubling, capped, begun anew",
         "test_linger_reconnect: interval_without_maximum_is_spread interval_doubles_up_to_the_maximum"
         " interval_doubles_anew interval_beyond_the_maximum"),
        ("RECONNECT_IVL -1 and 0: once only",
         "test_linger_reconnect: interval_minus_one_connects_once intervals_that_mean_never"),
        ("RECONNECT_STOP",
         "test_draft_options: stop_when_refused stop_when_the_handshake_fails stop_after_disconnect"
         " a_lost_connection_comes_again_all_the_same"),
        ("IMMEDIATE",
         "test_linger_reconnect: immediate_queues_nothing_without_a_connection"
         " immediate_leaves_out_unreachable_peers immediate_forgets_a_lost_connection"
         " immediate_loses_its_queue"
         " without_immediate_half_waits_for_the_unreachable"),
        ("half messages of a broken connection",
         "test_linger_reconnect: half_a_message_of_a_broken_connection"
         " a_message_begun_before_the_connection_broke a_message_written_in_part_is_lost;"
         " test_wire: half_a_message"),
        ("HANDSHAKE_IVL of both sides",
         "test_linger_reconnect: handshake_timeout_of_the_accepting_side"
         " handshake_timeout_of_the_connecting_side handshake_timeout_off"),
        ("CONNECT_TIMEOUT", "test_monitor: connect_timeout"),
        ("protocol errors, refused types and mechanisms are not tried again",
         "test_monitor: mismatched_types mismatched_mechanisms; test_ws: mismatched_types;"
         " test_wire: error_codes_are_told old_versions_are_refused_for_good"
         " a_frame_over_the_limit_is_final"),
        ("types refused inside CURVE, which only who accepts gets to see, are",
         "test_curve: types_that_do_not_match"),
        ("heartbeats: healthy peers stay, silent ones go, TTL",
         "test_linger_reconnect: heartbeats_between_healthy_peers a_peer_without_pong_is_dropped"
         " a_server_without_pong_is_connected_to_again the_ttl_of_a_silent_peer_ends_it"
         " traffic_keeps_the_ttl_from_ending_it a_command_is_traffic part_of_a_message_is_traffic;"
         " test_options: heartbeat_ttl_is_in_tenths_of_a_second"),
    ],
    "ZMTP": [
        ("the greeting: staged, padded, versions, mechanism",
         "test_wire: greeting_is_staged greeting_of_a_connecting_socket_is_staged"
         " greeting_says_its_mechanism greeting_byte_by_byte greeting_padding_is_ignored"
         " later_versions_are_spoken_to_in_3_1"),
        ("READY: types, identity, properties; legal peers",
         "test_wire: ready_of_every_type ready_with_identity compatible_types malformed_ready"
         " ready_without_a_socket_type names_of_properties_have_a_case;"
         " test_draft_server: names_in_the_handshake"),
        ("frames: long and short, in pieces, unknown flags",
         "test_wire: frames_out a_long_frame_out frames_in frames_in_pieces unknown_flags_are_ignored"),
        ("subscriptions of 3.1 and 3.0",
         "test_wire: subscriptions_of_3_1_are_commands subscriptions_of_3_0_are_messages"
         " both_kinds_of_subscription_are_understood repeated_subscriptions what_is_no_subscription"),
        ("PING and PONG",
         "test_wire: ping_is_answered_with_its_context own_pings a_peer_of_3_0_is_pinged_too"
         " no_pings_without_an_interval short_ping_is_ignored a_long_ttl_is_no_short_one"),
        ("unknown commands, ERROR",
         "test_wire: unknown_commands_are_ignored other_commands_during_the_handshake"
         " error_during_the_handshake error_codes_are_told"),
        ("ZMTP 3.0, 2.0 and 1.0, and where they are refused",
         "test_wire: zmtp_3_0 zmtp_2_0 zmtp_2_0_subscriptions zmtp_2_0_has_no_commands zmtp_1_0"
         " zmtp_1_0_with_a_greeting zmtp_1_0_subscriber_gets_everything zmtp_1_0_subscriber_with_a_greeting"
         " zmtp_1_0_frames_out zmtp_1_0_unknown_flags_are_ignored zmtp_1_0_long_identity"
         " own_identity_in_old_versions old_versions_have_no_handshake"
         " old_versions_are_refused_with_security old_versions_are_refused_for_good"),
        ("legal pairs of types, none checked by 2.0 and inproc",
         "test_wire: compatible_types zmtp_2_0_has_no_type_check; test_monitor: mismatched_types;"
         " test_endpoints: inproc_checks_no_types; test_draft_radio_dish: peers_of_other_types"),
        ("both libraries understand each other, either way round, with every mechanism",
         "interop: pair pub-sub xpub-xsub push-pull req-rep router-dealer router-router stream"),
        ("rubbish, claimed sizes, slow and silent peers",
         "test_wire: rubbish_instead_of_a_greeting random_bytes frames_over_the_limit"
         " a_claimed_size_allocates_nothing; test_attacks: slow_peers_lose_their_connection a_silent_crowd"
         " claims_of_2_to_the_62_bytes; test_memory: claimed_sizes"),
        ("connections cut or changed at every byte",
         "test_attacks: clients_that_stop_anywhere clients_that_are_reset_anywhere"
         " servers_that_stop_anywhere clients_with_a_bit_changed_anywhere"),
    ],
    "Security": [
        ("options choose the mechanism",
         "test_options: plain_sets_the_mechanism mechanisms_share_the_role curve_keys curve_server"
         " type_and_mechanism_and_thread_safe zap_domain_cannot_be_cleared"),
        ("NULL: ZAP only with a domain; ZAP_ENFORCE_DOMAIN",
         "test_security: no_domain_no_question null_without_a_handler_is_open"
         " null_without_a_handler_enforced a_second_command_before_the_answer"),
        ("PLAIN: bytes of both sides, a handler is needed, malformed commands",
         "test_security: bytes_of_a_server bytes_of_a_client plain_waits_for_a_handler"
         " malformed_commands_to_a_server malformed_commands_to_a_client initiate_before_welcome"
         " two_plain_clients two_plain_servers"),
        ("CURVE: bytes of both sides, wrong keys, open without a handler",
         "test_curve_wire: bytes_of_a_server bytes_of_a_client; test_curve: both_ways wrong_server_key"
         " no_client_keys without_a_handler_all_are_let_in the_handler_gets_the_key"),
        ("CURVE: cut, changed, replayed and reflected commands",
         "test_curve_wire: hello_changed initiate_changed messages_changed messages_replayed"
         " messages_reflected a_cookie_of_another_connection a_vouch_to_another_server;"
         " test_attacks: clients_are_not_talked_down"),
        ("GSSAPI, with the cargo feature", "gssapi.py: what_others_see heartbeats wrong_server_principal"),
        ("ZAP: the request, User-Id and metadata of the reply",
         "test_security: accepted address_and_properties the_handler_overrules_the_peer"
         " a_router_as_handler a_handler_with_a_mark_of_1 a_long_user_id"),
        ("ZAP: 300, 400 and 500", "test_security: status_300 status_400 status_500 error_on_the_wire"),
        ("ZAP: malformed replies, silent and closing handlers",
         "test_security: malformed_replies a_reply_without_delimiter a_silent_handler a_handler_that_closes;"
         " test_bad_input: a_pull_as_zap_handler plain_server_enforcing_no_domain"),
        ("mechanisms that do not match",
         "test_monitor: mismatched_mechanisms; test_curve: other_mechanisms two_clients two_servers;"
         " test_wire: mechanisms_must_match_exactly"),
        ("tls: certificates, names, trust, alerts, resumption",
         "test_tls: request_and_reply wrong_certificate wrong_name certificates_on_both_sides system_trust"
         " plaintext_client client_resumes_sessions events"),
    ],
    "Monitors": [
        ("arguments; one of a socket; stopped by NULL, by another, by closing",
         "test_monitor: arguments takes_a_place one_reader address_in_use"
         " stopped_by_null stopped_by_another stopped_by_close"
         " started_again_under_its_name refused_while_another_runs"),
        ("the sequence of a listener and of a connecter",
         "test_monitor: listener tcp_connecter ipc_connecter several_connections only_what_was_asked_for"),
        ("of a connection that ends here nothing is said",
         "test_monitor: disconnect_says_nothing_more unbinding_and_closing_say_no_more"),
        ("a connecter's address is as given, after the first connection as found",
         "test_monitor: ipc_connecter_by_another_path a_name_becomes_an_address;"
         " test_socks: addresses_of_events"),
        ("refused, delayed and retried connects",
         "test_monitor: tcp_connecter_refused tcp_connecter_fails_at_once ipc_connecter_refused"),
        ("BIND_FAILED, ACCEPT_FAILED, CLOSE_FAILED",
         "test_monitor: bind_failed bind_failed_before_there_is_a_descriptor accept_failed close_failed"),
        ("handshakes that fail: no detail, protocol, authentication",
         "test_monitor: peer_closes_during_the_handshake plain_without_a_handler;"
         " test_wire: error_codes_are_told; test_security: status_400 malformed_replies"),
        ("nothing about inproc and udp", "test_monitor: nothing_about_inproc; test_draft_udp: no_events"),
        ("an unread one blocks nobody", "test_monitor: an_unread_monitor_blocks_nothing"
         " stopping_without_a_reader"),
        ("version 2, types, PIPES_STATS",
         "test_draft_interface: second_version_of_events versioned_monitor_types"
         " second_version_on_both_sides versioned_monitor_arguments"
         " versioned_monitor_refused_while_another_runs pipes_stats"
         " pipes_stats_of_each_peer"),
    ],
    "Polling": [
        ("zmq_poll: arguments, time, events, the same socket twice",
         "test_poll: arguments timeout in_and_out only_what_was_asked_for the_same_socket_twice many_items"),
        ("zmq_poll: descriptors and their errors",
         "test_poll: file_descriptors sockets_beside_descriptors a_closed_pipe_is_an_error"
         " a_closed_descriptor_is_an_error errors_need_not_be_asked_for urgent_data"
         " socket_and_descriptor_in_one_item"),
        ("zmq_poll: a call that fails leaves revents as it was", "test_poll: an_error_leaves_what_was_there"),
        ("zmq_poll is woken", "test_poll: a_blocked_poll_is_woken a_poll_for_out_is_woken_by_a_peer"
         " a_poll_for_out_is_woken_by_room"),
        ("zmq_ppoll, zmq_poll of sockets for many threads",
         "test_draft_types: zmq_ppoll_on_them zmq_poll_on_them zmq_poll_on_them_twice"
         " zmq_poll_on_a_mixture zmq_poll_for_nothing"),
        ("zmq_poller_*: what they refuse",
         "test_draft_poller: what_is_no_poller sockets_it_does_not_take sockets_without_events;"
         " test_draft_interface: poller_of_descriptors poller_of_nothing"),
        ("zmq_poller_*: order, time, descriptors, zmq_poller_fd",
         "test_draft_poller: events_in_the_order_of_adding waiting_takes_its_time"
         " urgent_data_and_errors_of_descriptors; test_draft_types: descriptor_of_a_poller"),
        ("ZMQ_FD is an edge, ZMQ_EVENTS the truth",
         "test_poll: fd_is_an_edge fd_wakes_an_idle_loop event_loop event_loop_of_both_directions"
         " fd_tells_of_room_to_send fd_wakes_for_the_end_of_the_context"),
    ],
    "Proxies": [
        ("queue, streamer, forwarder; parts stay together",
         "test_proxy: queue streamer forwarder device_is_a_proxy"),
        ("capture", "test_proxy: capture capture_comes_first"),
        ("one socket as both ends; NULL: EFAULT",
         "test_proxy: both_ends_the_same null_sockets device_without_sockets"),
        ("a full side stops the other", "test_proxy: back_pressure a_subscriber_stops_the_publisher"
         " terminates_with_a_blocked_back_side"),
        ("PAUSE, RESUME, TERMINATE, STATISTICS",
         "test_proxy: pause_and_resume paused_proxy_terminates terminate_with_pair"
         " terminate_with_a_publisher statistics statistics_of_one_socket"
         " statistics_count_parts rep_as_control_answers_everything unknown_commands"),
    ],
    "Signals, fork, exec": [
        ("EINTR from send, receive, poll, poller, proxy; then it goes on",
         "test_fork_signals: recv_is_interrupted send_is_interrupted poll_is_interrupted"
         " proxy_is_interrupted receiving_goes_on_after_an_interruption;"
         " test_draft_poller: a_signal_ends_the_waiting"),
        ("the library's threads take no signals; no SIGPIPE",
         "test_fork_signals: library_threads_block_signals a_signal_stays_pending_when_the_program_blocks_it"
         " no_sigpipe no_sigpipe_on_a_reset_connection"),
        ("a forked child: what it inherits says EINTR and can be closed; it makes its own context; the"
         " parent goes on",
         "test_fork_signals: child_closes_what_it_inherits inherited_sockets_do_nothing"
         " inherited_sockets_tell_the_parent forked_while_another_thread_sends"
         " child_makes_its_own_context children_begin_anew_whatever_other_threads_did"
         " inherited_contexts_open_nothing"
         " parent_goes_on_while_a_child_sits_there child_that_exits_at_once;"
         " fork.rs: a_child_is_of_another_generation no_lock_is_held_in_a_child"
         " what_another_thread_is_setting_up_is_complete_in_a_child"),
        ("descriptors are closed on exec", "test_fork_signals: nothing_survives_exec"),
    ],
    "Threads": [
        ("sockets handed from thread to thread",
         "test_threads: handed_over closed_by_another_thread a_ring_of_threads"),
        ("one context in many threads",
         "test_threads: sockets_of_one_context_in_many_threads options_of_a_context_in_many_threads"
         " opening_and_closing_in_many_threads binding_and_connecting_in_many_threads"
         " the_end_of_a_context_concerns_no_other"),
        ("more than libzmq promises: one socket in many threads",
         "test_threads: several_senders_on_one_socket several_receivers_on_one_socket"
         " sending_while_another_thread_receives calls_on_a_closed_socket_reach_no_other;"
         " test_stress: anything_at_any_time"),
        ("closing and the end of the context wake whoever waits, in whichever call",
         "test_threads: closing_wakes_a_blocked_receiver closing_wakes_whoever_waits;"
         " test_draft_poller: closing_ends_the_waiting the_end_of_the_context_ends_the_waiting;"
         " test_stress: anything_at_any_time"),
    ],
    "Utilities": [
        ("Z85", "test_utilities: z85_of_the_rfc z85_encode_sizes z85_decode_sizes z85_alphabet"
         " z85_limits_of_a_group z85_round_trip"),
        ("keys of CURVE", "test_utilities: curve_keypair curve_public_of_a_known_key"
         " curve_public_of_no_key curve_public_wants_forty_characters"),
        ("atomic counters", "test_utilities: atomic_counter atomic_counter_of_several_threads"),
        ("timers: order, missed periods, cancelling, changes by a handler, interval 0",
         "test_utilities: timers_fire_and_repeat timers_fire_once_for_missed_periods timers_in_order"
         " timers_cancel timers_set_interval_and_reset timers_changed_by_a_handler"
         " timers_with_interval_zero timers_null"),
        ("stopwatch, zmq_sleep, zmq_threadstart",
         "test_utilities: stopwatch sleep_a_second threads threads_block_signals thread_name"),
    ],
}
