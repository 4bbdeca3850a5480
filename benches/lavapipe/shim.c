// Mesa's Vulkan driver for processors, lavapipe, with two changes. What cubecl-spirv 0.11.3 writes for
// shared memory, where a driver has no VK_KHR_workgroup_memory_explicit_layout, is a variable whose
// type is a pointer to a pointer: lavapipe ends the process over it, so it is repaired. And a buffer
// may be larger than the 128 MiB that lavapipe admits, as on a GPU: caches are one buffer.
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

enum { HEADER = 5, WORKGROUP = 4, TYPE_POINTER = 32, VARIABLE = 59 };

typedef void (*Function)(void);
typedef Function (*GetFunction)(void *, const char *);
// VkShaderModuleCreateInfo
typedef struct {
    uint32_t type;
    const void *next;
    uint32_t flags;
    size_t size;
    const uint32_t *code;
} Module;
typedef int (*CreateModule)(void *, const Module *, const void *, void *);

static GetFunction device_functions;
static CreateModule create_module;

static void *driver(void) {
    static void *library;
    const char *path = getenv("LAVAPIPE");
    if (!library) {
        library = dlopen(path ? path : "libvulkan_lvp.so", RTLD_NOW | RTLD_LOCAL);
    }
    return library;
}

static int repaired(void *device, const Module *module, const void *allocator, void *made) {
    uint32_t words = module->size / 4, *code = malloc(module->size);
    if (!code) return -1;
    memcpy(code, module->code, module->size);
    uint32_t bound = code[3], *target = calloc(bound, sizeof *target);
    if (!target) {
        free(code);
        return -1;
    }
    // The types that pointers to shared memory point to, by the pointer's own type.
    for (uint32_t i = HEADER; i + 3 < words && code[i] >> 16; i += code[i] >> 16) {
        if ((code[i] & 0xffff) == TYPE_POINTER && code[i + 2] == WORKGROUP && code[i + 1] < bound) {
            target[code[i + 1]] = code[i + 3];
        }
    }
    for (uint32_t i = HEADER; i + 3 < words && code[i] >> 16; i += code[i] >> 16) {
        if ((code[i] & 0xffff) == VARIABLE && code[i + 3] == WORKGROUP && code[i + 1] < bound) {
            uint32_t inner = target[code[i + 1]];
            if (inner < bound && target[inner]) code[i + 1] = inner;
        }
    }
    Module mine = *module;
    mine.code = code;
    int result = create_module(device, &mine, allocator, made);
    free(code);
    free(target);
    return result;
}

// Where VkPhysicalDeviceProperties has maxStorageBufferRange, and VkPhysicalDeviceProperties2 has it.
enum { RANGE = 324, RANGE_2 = 16 + RANGE };
static const uint32_t range = 1u << 31;
typedef void (*Properties)(void *, char *);
static Properties properties, properties_2;

static void widened(void *device, char *told) {
    properties(device, told);
    memcpy(told + RANGE, &range, sizeof range);
}

static void widened_2(void *device, char *told) {
    properties_2(device, told);
    memcpy(told + RANGE_2, &range, sizeof range);
}

static Function device_function(void *device, const char *name);

static Function ours(const char *name, Function function) {
    if (function && !strcmp(name, "vkCreateShaderModule")) {
        create_module = (CreateModule)function;
        return (Function)repaired;
    }
    if (function && !strcmp(name, "vkGetPhysicalDeviceProperties")) {
        properties = (Properties)function;
        return (Function)widened;
    }
    if (function && !strncmp(name, "vkGetPhysicalDeviceProperties2", 30)) {
        properties_2 = (Properties)function;
        return (Function)widened_2;
    }
    if (function && !strcmp(name, "vkGetDeviceProcAddr")) {
        device_functions = (GetFunction)function;
        return (Function)device_function;
    }
    return function;
}

static Function device_function(void *device, const char *name) {
    return ours(name, device_functions(device, name));
}

// What a driver gives the loader.
Function vk_icdGetInstanceProcAddr(void *instance, const char *name) {
    GetFunction function = (GetFunction)dlsym(driver(), "vk_icdGetInstanceProcAddr");
    return ours(name, function(instance, name));
}

Function vk_icdGetPhysicalDeviceProcAddr(void *instance, const char *name) {
    GetFunction function = (GetFunction)dlsym(driver(), "vk_icdGetPhysicalDeviceProcAddr");
    return function ? ours(name, function(instance, name)) : 0;
}

int vk_icdNegotiateLoaderICDInterfaceVersion(uint32_t *version) {
    int (*function)(uint32_t *) =
        (int (*)(uint32_t *))dlsym(driver(), "vk_icdNegotiateLoaderICDInterfaceVersion");
    return function(version);
}
