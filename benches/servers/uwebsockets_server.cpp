// Echo and broadcast on uWebSockets in C++, topics for broadcasts, without compression.
//
//     uwebsockets_server PORT --mode echo|broadcast|block

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <thread>

#include "App.h"

namespace {

constexpr unsigned MAX_MESSAGE_BYTES = 16u << 20;

struct Nothing {};
using Socket = uWS::WebSocket<false, true, Nothing>;

}  // namespace

int main(int argc, char **argv) {
    if (argc != 4) {
        std::fprintf(stderr, "usage: %s PORT --mode echo|broadcast|block\n", argv[0]);
        return 2;
    }
    const std::string_view mode = argv[3];
    uWS::App app;
    uWS::App::WebSocketBehavior<Nothing> behavior;
    behavior.compression = uWS::DISABLED;
    behavior.maxPayloadLength = MAX_MESSAGE_BYTES;
    behavior.maxBackpressure = 4 * MAX_MESSAGE_BYTES;
    if (mode == "broadcast") {
        behavior.open = [](Socket *ws) { ws->subscribe("all"); };
        behavior.message = [&app](Socket *, std::string_view message, uWS::OpCode code) {
            app.publish("all", message, code);
        };
    } else if (mode == "block") {
        behavior.message = [](Socket *ws, std::string_view message, uWS::OpCode code) {
            std::this_thread::sleep_for(std::chrono::duration<double>(std::stod(std::string(message))));
            ws->send(message, code);
        };
    } else {
        behavior.message = [](Socket *ws, std::string_view message, uWS::OpCode code) { ws->send(message, code); };
    }
    app.ws<Nothing>("/*", std::move(behavior));
    app.listen("127.0.0.1", std::atoi(argv[1]), [](auto *listener) {
        if (!listener) std::exit(1);
    });
    app.run();
}
