/* SPDX-License-Identifier: MPL-2.0 */
/*
 * A publisher and a subscriber in one program, with cppzmq's zmq.hpp:
 *
 *   c++ -std=c++11 publish_subscribe.cpp $(pkg-config --cflags --libs libzmq) -o publish_subscribe
 */

#include <cstring>
#include <iostream>
#include <string>
#include <zmq.hpp>

static zmq::message_t message(const std::string &text)
{
    return zmq::message_t(text.data(), text.size());
}

static std::string text(const zmq::message_t &message)
{
    return std::string(static_cast<const char *>(message.data()), message.size());
}

int main()
{
    try {
        zmq::context_t context;
        zmq::socket_t publisher(context, ZMQ_XPUB);
        zmq::socket_t subscriber(context, ZMQ_SUB);
        publisher.bind("tcp://127.0.0.1:*");
        char endpoint[64];
        std::size_t size = sizeof endpoint;
        if (zmq_getsockopt(publisher.handle(), ZMQ_LAST_ENDPOINT, endpoint, &size) != 0)
            throw zmq::error_t();
        subscriber.connect(endpoint);
        if (zmq_setsockopt(subscriber.handle(), ZMQ_SUBSCRIBE, "weather", 7) != 0)
            throw zmq::error_t();

        // An XPUB is told of subscriptions: nothing is published before there is one.
        zmq::message_t subscription;
        if (!publisher.recv(subscription) || text(subscription) != "\1weather")
            return 1;

        const char *const news[][2] = {
            {"weather", "rain"}, {"sport", "draw"}, {"weather", "sun"}};
        for (const auto &item : news) {
            publisher.send(message(item[0]), zmq::send_flags::sndmore);
            publisher.send(message(item[1]), zmq::send_flags::none);
        }
        std::string received;
        for (int i = 0; i < 2; i++) {
            zmq::message_t topic, body;
            if (!subscriber.recv(topic) || !topic.more() || !subscriber.recv(body))
                return 1;
            received += text(topic) + ": " + text(body) + "\n";
        }
        std::cout << received;
        return received == "weather: rain\nweather: sun\n" ? 0 : 1;
    } catch (const zmq::error_t &error) {
        std::cerr << error.what() << "\n";
        return 1;
    }
}
