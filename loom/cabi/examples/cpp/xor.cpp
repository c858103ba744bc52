// Learn XOR with owned texts and networks.
//
// c++ -std=c++17 xor.cpp -I DIR -L DIR -lloom -Wl,-rpath,DIR -o xor

#include <loom.h>

#include <array>
#include <cstdio>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

namespace loom {

// A reply as a string; an {"error": ...} becomes an exception.
std::string text(char *reply) {
    std::unique_ptr<char, void (*)(char *)> owned(reply, Loom_FreeCString);
    std::string copy(owned.get());
    if (copy.rfind("{\"error\"", 0) == 0)
        throw std::runtime_error(copy);
    return copy;
}

void check(int status) {
    if (status != LOOM_OK)
        throw std::runtime_error(Loom_LastError());
}

class Network {
  public:
    explicit Network(const std::string &reply)
        : handle_(std::stoll(reply.substr(reply.find("\"handle\":") + 9))) {}
    ~Network() { Loom_Free(handle_); }
    Network(const Network &) = delete;
    Network &operator=(const Network &) = delete;

    void set(int layer, const std::string &config) {
        text(Loom_SetLayer(handle_, 0, 0, layer, config.c_str()));
    }

    std::string call(const char *method, const std::string &arguments = "[]") {
        return text(Loom_Call(handle_, method, arguments.c_str()));
    }

    float train(const std::vector<float> &x, const std::vector<float> &targets,
                const char *settings) {
        float loss = 0;
        check(Loom_TrainStepF32(handle_, x.data(), x.size(), targets.data(),
                                targets.size(), settings, &loss));
        return loss;
    }

    std::vector<float> forward(const std::vector<float> &x) {
        size_t size = 0;
        int status = Loom_ForwardF32(handle_, x.data(), x.size(), nullptr, 0, &size);
        if (status != LOOM_TOO_SMALL)
            check(status);
        std::vector<float> y(size);
        check(Loom_ForwardF32(handle_, x.data(), x.size(), y.data(), y.size(), &size));
        return y;
    }

  private:
    int64_t handle_;
};

} // namespace loom

int main() {
    const std::vector<float> x{0, 0, 0, 1, 1, 0, 1, 1}, targets{0, 1, 1, 0};
    try {
        loom::Network net(loom::text(Loom_Call(0, "NewNetwork", "[2, 1, 1, 2, 7]")));
        net.set(0, loom::text(Loom_InitDenseLayer(2, 8, LOOM_TANH)));
        net.set(1, loom::text(Loom_InitDenseLayer(8, 1, LOOM_SIGMOID)));
        float loss = 0;
        for (int step = 0; step < 300; step++)
            loss = net.train(x, targets, R"({"Optimizer": "adam", "LearningRate": 0.05})");
        std::printf("loss %.3f\n", loss);
        const auto y = net.forward(x);
        for (size_t i = 0; i < y.size(); i++)
            std::printf("%.0f xor %.0f = %.0f\n", x[2 * i], x[2 * i + 1], y[i]);
        std::printf("parameters %s\n", net.call("ParameterCount").c_str());
        net.call("NoSuchMethod");
    } catch (const std::exception &error) {
        std::printf("%s\n", error.what());
    }
}
