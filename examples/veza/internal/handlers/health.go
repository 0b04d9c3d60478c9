// Package handlers answers the health endpoints of the service in Go. The API in this folder, in Python, keeps to the
// same contract: paths, status codes and JSON fields are those of this file.
package handlers

import (
	"context"
	"database/sql"
	"net/http"
	"time"

	"github.com/gin-gonic/gin"
	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/redis/go-redis/v9"
)

const checkTimeout = 1500 * time.Millisecond

// CheckResult says what became of one dependency.
type CheckResult struct {
	Status       string  `json:"status"`
	Message      string  `json:"message,omitempty"`
	Milliseconds float64 `json:"milliseconds,omitempty"`
}

// ReadinessResponse is the body of /readyz.
type ReadinessResponse struct {
	Status string                 `json:"status"`
	Checks map[string]CheckResult `json:"checks"`
}

// HealthHandler answers /health, /readyz and /live. Redis and RabbitMQ are optional: nil means disabled.
type HealthHandler struct {
	db     *sql.DB
	redis  *redis.Client
	rabbit *amqp.Connection
}

// NewHealthHandler makes a handler.
func NewHealthHandler(db *sql.DB, client *redis.Client, rabbit *amqp.Connection) *HealthHandler {
	return &HealthHandler{db: db, redis: client, rabbit: rabbit}
}

// Register adds the three endpoints to a router.
func (h *HealthHandler) Register(router gin.IRouter) {
	router.GET("/health", h.Health)
	router.GET("/readyz", h.Readiness)
	router.GET("/live", h.Liveness)
}

// Health says that the process answers.
func (h *HealthHandler) Health(c *gin.Context) {
	c.JSON(http.StatusOK, gin.H{"status": "ok", "service": "veza-backend-api"})
}

// Liveness says whether the process should be restarted. It asks no dependency: restarting would not bring one back.
func (h *HealthHandler) Liveness(c *gin.Context) {
	c.JSON(http.StatusOK, gin.H{"status": "alive"})
}

// Readiness says whether traffic should come here: only while the database answers.
func (h *HealthHandler) Readiness(c *gin.Context) {
	ctx, cancel := context.WithTimeout(c.Request.Context(), checkTimeout)
	defer cancel()

	checks := map[string]CheckResult{
		"database": h.checkDatabase(ctx),
		"redis":    h.checkRedis(ctx),
		"rabbitmq": h.checkRabbit(),
	}
	if checks["database"].Status == "error" {
		c.JSON(http.StatusServiceUnavailable, ReadinessResponse{Status: "not_ready", Checks: checks})
		return
	}
	status := "ready"
	for _, check := range checks {
		if check.Status == "error" {
			status = "degraded"
		}
	}
	c.JSON(http.StatusOK, ReadinessResponse{Status: status, Checks: checks})
}

func (h *HealthHandler) checkDatabase(ctx context.Context) CheckResult {
	began := time.Now()
	if err := h.db.PingContext(ctx); err != nil {
		return CheckResult{Status: "error", Message: err.Error()}
	}
	return CheckResult{Status: "ok", Milliseconds: float64(time.Since(began).Microseconds()) / 1000}
}

func (h *HealthHandler) checkRedis(ctx context.Context) CheckResult {
	if h.redis == nil {
		return CheckResult{Status: "disabled"}
	}
	if err := h.redis.Ping(ctx).Err(); err != nil {
		return CheckResult{Status: "error", Message: err.Error()}
	}
	return CheckResult{Status: "ok"}
}

func (h *HealthHandler) checkRabbit() CheckResult {
	if h.rabbit == nil {
		return CheckResult{Status: "disabled"}
	}
	if h.rabbit.IsClosed() {
		return CheckResult{Status: "error", Message: "the connection is closed"}
	}
	return CheckResult{Status: "ok"}
}
