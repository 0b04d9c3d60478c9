#!/bin/sh
echo "drill: $1"
